#!/bin/sh
# `eckart sweep` ended from outside, by kill -9, by SIGINT, by other settings: nothing that was
# finished is lost, nothing is half-written, and the files at the end are those of an undisturbed
# run.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
cat >short.jsonl <<'END'
{"id":"lunch","dialogue":"Ann: Lunch at noon?\nBob: Yes, see you there.","summary":"Ann and Bob will have lunch at noon."}
{"id":"bus","dialogue":"Cem: I missed the bus.\nDee: Take a taxi!","summary":"Cem missed the bus. Dee tells him to take a taxi."}
END

models=65
# sweep OUT ARGUMENTS...: 64 ranks of one layer, a fifth of a second each. exec: so that a signal to
# the background job is one to the program.
sweep() {
  out=$1
  shift
  exec "$ECKART" sweep --data short.jsonl --ranks 384:6:-6 \
    --targets encoder.layers.0.self_attn.q_proj --num-beams 1 --max-new-tokens 8 --compare 1 \
    --resamples 500 --no-times --jobs 1 --out "$out" "$@"
}

# finished OUT: models in the state.
finished() {
  find "$1/state" -name '*.json' ! -name settings.json 2>/dev/null | wc -l
}

same_files() {
  for file in sweep.csv sweep.json report.html; do
    cmp "whole/$file" "$1/$file" || say_failure "$1/$file is not that of an undisturbed run"
  done
  leftovers=$(find "$1" -name '*.tmp-*')
  [ -z "$leftovers" ] || say_failure "left behind: $leftovers"
}

(sweep whole) >whole.out 2>/dev/null

# Ten times kill -9 after 0.3 to 3 s, pseudorandom (Numerical Recipes' generator). Where each hits
# depends on the machine: while the model is read, in a model, or between two.
random=20240607
killed=0
rounds=0
while [ $rounds -lt 10 ]; do
  random=$(((random * 1664525 + 1013904223) % 4294967296))
  milliseconds=$((300 + random / 65536 % 2701))
  sweep broken >/dev/null 2>&1 &
  process=$!
  sleep "$(printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000)))"
  kill -9 "$process" 2>/dev/null || true
  status=0
  wait "$process" 2>/dev/null || status=$?
  case $status in
    137) killed=$((killed + 1)) ;;
    0) ;;
    *) say_failure "exit $status before the kill after $milliseconds ms" ;;
  esac
  rounds=$((rounds + 1))
  printf 'killed after %d ms: %d of %d models\n' $milliseconds "$(finished broken)" $models
done
[ $killed -gt 0 ] || say_failure 'no kill hit'
before=$(finished broken)
(sweep broken) >broken.out 2>broken.err
if [ "$before" -gt 0 ]; then
  grep -q "continuing: $before of $models models are there" broken.err ||
    say_failure "the last run does not say that $before models were there: $(cat broken.err)"
fi
[ "$(finished broken)" -eq $models ] || say_failure 'not all models are in the state'
cmp whole.out broken.out || say_failure 'another table'
same_files broken

# Other settings: refused by their name, nothing changed; --restart removes the state.
refuses() {
  pattern=$1
  shift
  status=0
  (sweep broken "$@") >out 2>err || status=$?
  [ $status -eq 2 ] || say_failure "$*: exit $status, not 2"
  grep -q -e "$pattern" err || say_failure "$*: no '$pattern' in: $(cat err)"
}
refuses 'broken holds a sweep with other settings: no-repeat-ngram-size was 3, now 2;' \
  --no-repeat-ngram-size 2
refuses 'broken holds a sweep with other settings: seed was 0, now 7;' --seed 7
refuses 'data was "[0-9a-f]*", now "[0-9a-f]*"; another --out keeps both, --restart removes' \
  --limit 1
model=$(dirname "$(find "$ECKART_SOURCE_DIR/examples/summarization/model" -name config.json)")
mkdir other
ln -s "$model"/* other
rm other/generation_config.json
sed 's/101/102/' "$model/generation_config.json" >other/generation_config.json
refuses 'generation_config.json was' --model other
same_files broken
[ "$(finished broken)" -eq $models ] || say_failure 'a refusal removed models'

# A broken disk: the file is noticed and its model computed again.
victim=broken/state/svd_encoder.layers.0.self_attn.q_proj_two-factor_60.json
head -c 700 "$victim" >spoilt
mv spoilt "$victim"
(sweep broken) >/dev/null 2>err
grep -q 'two-factor_60.json: .*; this point is computed again' err ||
  say_failure "a cut file: $(cat err)"
same_files broken

# SIGINT: status 130, and files of what is finished, which a later run completes. A shell starts
# its background jobs with SIGINT ignored, so it is sent when the first model is finished.
sweep interrupted >out 2>err &
process=$!
waited=0
while [ "$(finished interrupted)" -lt 1 ] && [ $waited -lt 600 ]; do
  sleep 0.1
  waited=$((waited + 1))
done
kill -INT "$process"
status=0
wait "$process" || status=$?
[ $status -eq 130 ] || say_failure "SIGINT: exit $status: $(cat err)"
some=$(finished interrupted)
grep -q "eckart: interrupted with $some of $models models" err || say_failure "SIGINT: $(cat err)"
[ "$(wc -l <interrupted/sweep.csv)" -eq $((some + 1)) ] || say_failure 'SIGINT: rows of sweep.csv'
[ "$some" -lt $models ] || say_failure 'SIGINT came too late'
grep -q '</html>' interrupted/report.html || say_failure 'SIGINT: no whole report'
head -n $((some + 1)) whole/sweep.csv | cmp - interrupted/sweep.csv ||
  say_failure 'SIGINT: other figures'
grep -q '^dense ' out || say_failure "SIGINT: no table: $(cat out)"

finish sweep_kill
