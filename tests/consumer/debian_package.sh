#!/bin/sh
# debian_package.sh CPACK BUILD FOLDER: makes the package of the library and unpacks it in FOLDER.
set -eu
cpack=$1 build=$2 folder=$3
rm -rf "$folder"
mkdir -p "$folder/packages"
"$cpack" --config "$build/CPackConfig.cmake" -G DEB -B "$folder/packages" \
  -D CPACK_COMPONENTS_ALL=development >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
for package in "$folder"/packages/libeckart-dev_*_all.deb; do
  dpkg-deb --field "$package" Package Depends
  dpkg-deb --extract "$package" "$folder"
done
