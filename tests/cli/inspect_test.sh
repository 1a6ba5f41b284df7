#!/bin/sh
# The program `eckart inspect` from outside.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

# shows PATTERN ARGUMENTS...
shows() {
  pattern=$1
  shift
  "$ECKART" "$@" >out 2>&1 || { printf 'FAILED: eckart %s\n' "$*" >&2; failures=1; }
  grep -q -e "$pattern" out || {
    printf "FAILED: eckart %s: no '%s' in:\n%s\n" "$*" "$pattern" "$(cat out)" >&2
    failures=1
  }
}

config() {
  printf '{"model_type":"bart","d_model":%s,"encoder_layers":%s,"decoder_layers":%s,' "$1" "$2" "$2"
  printf '"encoder_attention_heads":%s,"decoder_attention_heads":%s,' "$3" "$3"
  printf '"encoder_ffn_dim":%s,"decoder_ffn_dim":%s}\n' "$4" "$4"
}

shows 'in all *23,655,168' inspect
shows '(0-3): 4 x BartDecoderLayer(' inspect
shows '384 x 384  *56  *147,456  *159  *191  *191  *383' inspect
shows '(q_proj): LowRank(in_features=384, out_features=384, rank=159, form=full-core, bias=True)' \
  inspect --rank 159 --form full-core
config 768 6 12 3072 >base.json
shows 'in all *139,420,416' inspect --config base.json
shows '768 x 768  *72  *589,824  *318  *383  *383  *767' inspect --config base.json
shows '3072 x 768  *12  *2,359,296  *[0-9]*  *614  *614' inspect --config base.json
config 1024 12 16 4096 >large.json
shows 'in all *406,291,456' inspect --config large.json
shows '1024 x 1024 *144  *1,048,576  *424' inspect --config large.json
shows '"total_parameters": 139420416' inspect --config base.json --json
shows 'eckart 0.1.0' --version
shows 'summarize' --help
shows 'break-even' --help

config 768 6 7 3072 >bad.json
if "$ECKART" inspect --config bad.json >out 2>&1; then failures=1; fi
grep -q 'd_model 768 is no multiple of 7 heads' out || failures=1

[ "$failures" -eq 0 ] || exit 1
echo 'inspect: all checks passed'
