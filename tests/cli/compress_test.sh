#!/bin/sh
# The programs `eckart calibrate` and `eckart compress` from outside: a smaller model that all
# commands take, plans, moments, resuming, exit codes, messages.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
head -n 12 "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" >twelve.jsonl
few="--calibration twelve.jsonl -q"
attention="$few --targets q_proj,k_proj,v_proj"

# Moments of calibrate and the dialogues themselves give the same plan and the same numbers, but for
# the end token, which needs the dialogues.
expect 0 '12 dialogues, ' calibrate $few --out moments.safetensors
expect 0 'target weights .* 0.400$' compress $attention --method centred --budget 0.4 \
  --keep-end-bias --out direct
grep -q '"end_bias": 0.0' direct/report.json || say_failure 'an end bias that nobody wanted'
expect 0 'centred, 12 dialogues' compress --calibration moments.safetensors -q \
  --targets q_proj,k_proj,v_proj --method centred --budget 0.4 --out indirect
cmp direct/plan.json indirect/plan.json || say_failure 'other moments, another plan'
cmp direct/model.safetensors indirect/model.safetensors || say_failure 'other moments, other factors'
ls | grep -q 'tmp-' && say_failure "left behind: $(ls)"

# What is written is a model for all commands, and smaller.
[ "$(wc -c <direct/model.safetensors)" -lt 47350152 ] || say_failure 'the file is not smaller'
grep -q '"method": "centred"' direct/config.json || say_failure 'no method in config.json'
grep -q '"peak_memory_bytes": [1-9]' direct/report.json || say_failure 'no memory in report.json'
expect 0 'LowRank(in_features=384' inspect --model direct
expect 0 '"rouge1"' evaluate --model direct --data twelve.jsonl --limit 2 --num-beams 1 --json -q
echo 'Ann: Lunch at noon? Bob: Yes!' >lunch.txt
expect 0 '[A-Z]' summarize --model direct -q lunch.txt

# What is not in factors, and the output layer, in 8 bits a number: smaller again.
expect 0 . compress $attention --method centred --budget 0.4 --keep-end-bias --int8 --out bytes -q
grep -q '"form": "int8"' bytes/config.json || say_failure 'no form int8 in config.json'
[ "$(wc -c <bytes/model.safetensors)" -lt "$(wc -c <direct/model.safetensors)" ] ||
  say_failure 'the file in 8 bits is not smaller'
expect 0 ' Linear(in_features=384, out_features=1536, form=int8, bias=True)' inspect --model bytes
expect 0 '[A-Z]' summarize --model bytes -q lunch.txt

# A plan can be edited; what does not fit is refused with a message that says why.
sed 's/"rank": [0-9]*, "parameters": [0-9]*/"rank": 8/; s/"parameters": [0-9]*, "predicted/"predicted/; /^ *"parameters"/d; /^ *"dense_parameters"/d; s/^  \],/  ]/' \
  direct/plan.json >edited.json
expect 0 'layers\|->' compress $attention --method centred --plan edited.json --out edited
grep -q '"rank": 8' edited/plan.json || say_failure 'the edited rank is not there'
sed '0,/"rank": [0-9]*/s//"rank": 9999/' direct/plan.json >tampered.json
expect 2 'tampered.json' compress $attention --method centred --plan tampered.json --out never
sed '0,/q_proj/s//z_proj/' direct/plan.json >unknown.json
expect 2 'unknown.json' compress $attention --method centred --plan unknown.json --out never
expect 2 'above the budget 0.1' compress $attention --method centred --plan direct/plan.json \
  --budget 0.1 --out never
expect 2 'is below the least possible cost' compress $attention --method centred --budget 0.001 \
  --out never

# The sequential method, ended by a signal, goes on with the layers that are there.
"$ECKART" compress $few --targets fc1,q_proj --rank 16 --out whole >whole.out 2>whole.err
grep -q 'to the logit of the end token' whole.out || say_failure 'the end token is not matched'
"$ECKART" compress $few --targets fc1,q_proj --rank 16 --out resumed >out 2>err &
running=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  [ "$(ls resumed.layers 2>/dev/null | grep -c safetensors)" -ge 2 ] && break
  sleep 1
done
kill -INT "$running"
set +e
wait "$running"
got=$?
set -e
# A shell that is not interactive starts background programs with SIGINT ignored or not, so the run
# may have ended by itself; in both cases nothing is half-written.
if [ "$got" -eq 130 ]; then
  [ ! -e resumed ] || say_failure 'interrupted, and written all the same'
  expect 2 'other circumstances' compress $few --targets fc1,q_proj --rank 17 --out resumed
  expect 0 'sequential' compress --calibration twelve.jsonl --targets fc1,q_proj --rank 16 \
    --out resumed
  grep -q 'continuing: ' err || say_failure "no word of continuing: $(cat err)"
elif [ "$got" -ne 0 ]; then
  say_failure "interrupted: exit $got: $(cat err)"
fi
cmp whole/model.safetensors resumed/model.safetensors || say_failure 'resumed, other numbers'
[ ! -e resumed.layers ] || say_failure 'the layers of a finished run are left'

# A plain checkpoint of the approximated weights.
expect 0 'svd' compress --method svd --targets fc1 --rank 64 --form two-factor --dtype f32 -q \
  --out plain --export-dense dense
! grep -q eckart dense/config.json || say_failure 'the dense export is no plain checkpoint'
expect 0 'Linear(in_features=384, out_features=1536' inspect --model dense
expect 0 'rank=64, form=two-factor' inspect --model plain

# The output layer: in factors, run, exported with a table of its own; no bytes are saved by it.
head -n 4 twelve.jsonl >four.jsonl
four="--calibration four.jsonl -q --method centred"
expect 0 '8192 x 384' compress $four --targets all --rank 96 --form two-factor --out head \
  --export-dense untied
expect 0 'lm_head): LowRank(in_features=384, out_features=8192, rank=96' inspect --model head
expect 0 '"rouge1"' evaluate --model head --data four.jsonl --limit 1 --num-beams 1 --json -q
grep -q '"tie_word_embeddings": false' untied/config.json || say_failure 'the export is still tied'
for each in head untied; do "$ECKART" summarize --model $each -q lunch.txt >$each.txt; done
cmp head.txt untied.txt || say_failure 'the dense export writes something else'
expect 2 'save no bytes' compress $four --targets lm_head --budget 0.5 --out never
expect 0 '0.[0-9]*$' compress $four --targets lm_head --budget 0.5 --budget-of flops --out half
# Times from a file instead of the clock: factors of half of the rank take half of the time.
cat >times.json <<'END'
{"eckart_latency_table": 1, "threads": 1, "entries": [
 {"shape": [8192, 384], "form": "dense", "rank": 384, "rows": 4, "microseconds": 100},
 {"shape": [8192, 384], "form": "two-factor", "rank": 384, "rows": 4, "microseconds": 100}]}
END
timed="$four --targets lm_head --form two-factor --budget 0.51 --latency-table times.json"
expect 0 '0.[0-9]*$' compress $timed --budget-of time --out timed
grep -q '"rank": 192,' timed/plan.json || say_failure 'the times of the table are not used'
expect 2 'is for --budget-of time' compress $timed --out never
expect 2 'has no times of a dense 384 x 384 matrix' compress $few --targets q_proj --budget 0.5 \
  --budget-of time --latency-table times.json --out never -q

# Bad input: exit 2, a message that names it, nothing written.
expect 2 'give one of --budget' compress $few --out never
expect 2 'budget 1.5 is not in' compress $few --budget 1.5 --out never
expect 2 'direct: exists' compress $few --budget 0.5 --out direct
expect 2 'calibration is required' compress --budget 0.5 --out never -q
expect 2 "no linear layer is named 'nonsense'" compress $few --targets nonsense --rank 8 --out never
expect 2 'rank 500' compress $few --targets q_proj --rank 500 --out never
expect 2 'need the dialogues themselves' compress --calibration moments.safetensors --rank 8 \
  --out never -q
expect 2 'gathered from the model' compress --calibration moments.safetensors --model plain \
  --method centred --rank 8 --out never -q
expect 2 'no-such-file' compress --calibration no-such-file --rank 8 --out never
expect 2 '--out is required' compress $few --rank 8
expect 0 'budget-of' compress --help
expect 0 'decoder-inputs' calibrate --help
[ ! -e never ] && [ ! -e never.layers ] || say_failure 'a refused run has written'

finish compress
