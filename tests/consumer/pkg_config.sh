#!/bin/sh
# pkg_config.sh PKG_CONFIG COMPILER PREFIX FOLDER: builds and runs a program by what pkg-config says.
set -eu
pkg_config=$1 compiler=$2 prefix=$3 folder=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$folder"
export PKG_CONFIG_PATH="$prefix/share/pkgconfig"
"$pkg_config" --validate eckart
for part in core bart; do
  package=eckart
  [ "$part" = core ] || package=eckart-bart
  # shellcheck disable=SC2046  # the answer is words
  "$compiler" -std=c++20 "$here/uses_$part.cpp" -o "$folder/uses_$part" \
    $("$pkg_config" --cflags --libs "$package")
  "$folder/uses_$part"
done
