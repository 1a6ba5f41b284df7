#!/bin/sh
# The program `eckart sweep` from outside: figures, files, exit codes, messages.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
expected=$ECKART_SOURCE_DIR/tests/cli/sweep_expected.csv
head -n 12 "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" >twelve.jsonl
cat >short.jsonl <<'END'
{"id":"lunch","dialogue":"Ann: Lunch at noon?\nBob: Yes, see you there.","summary":"Ann and Bob will have lunch at noon."}
{"id":"bus","dialogue":"Cem: I missed the bus.\nDee: Take a taxi!","summary":"Cem missed the bus. Dee tells him to take a taxi."}
{"id":"key","dialogue":"Eva: Where is the key?\nFinn: Under the mat.","summary":"The key is under the mat."}
END

# The thesis's experiment in small. Summaries, and with them ROUGE, are the same under all kernels
# of OpenBLAS that were tried (Prescott, without fused multiply-add, Sandybridge, Haswell,
# SkylakeX, Cooperlake), so they must be equal here. Loss, perplexity and cosines carry the rounding
# of the products: up to 5e-7 between those kernels, 1e-5 are allowed.
"$ECKART" sweep --data twelve.jsonl --ranks 256,159,96 --targets attention \
  --forms two-factor,full-core --num-beams 1 --no-times --jobs 1 --compare 4 --out figures \
  >table 2>lines
awk -F, -v OFS=, '
  function is_rounded(name) { return name ~ /^(loss_|perplexity|encoder_c|decoder_c|logits_)/ }
  NR == FNR { row[FNR] = $0; rows = FNR; next }
  { n = split(row[FNR], want, ",") }
  FNR == 1 { for (i = 1; i <= NF; ++i) name[i] = $i }
  n != NF { print "row " FNR ": " NF " fields, not " n; bad = 1 }
  {
    for (i = 1; i <= NF; ++i) {
      distance = $i - want[i]
      if (distance < 0) distance = -distance
      if (is_rounded(name[i]) && FNR > 1 && want[i] != "" ? !(distance <= 1e-5 * want[i]) : $i != want[i] "") {
        print "row " FNR ", " name[i] ": " $i ", not " want[i]
        bad = 1
      }
    }
  }
  END {
    if (FNR != rows) { print FNR " rows, not " rows; bad = 1 }
    exit bad
  }' "$expected" figures/sweep.csv >differences || say_failure "sweep.csv: $(cat differences)"
grep -q '^  rank 159 .*51.87' table || say_failure "the table: $(cat table)"
[ "$(grep -c '^eckart: [1-7]/7 ' lines)" -eq 7 ] || say_failure "a line a model: $(cat lines)"
grep -q '^eckart: 3/7 rank 159, attention, two-factor: ROUGE-1 51.87, loss 1.474, ' lines ||
  say_failure "the line of rank 159: $(cat lines)"
grep -q '</html>' figures/report.html || say_failure 'the page has no end'

# A few small models, for all that is no figure.
set -- --ranks 64,32 --targets encoder.layers.0.self_attn.q_proj --num-beams 1 \
  --max-new-tokens 5 --compare 1 --resamples 100

# The number of jobs and batches changes no byte of the files (--batch 1 makes three batches).
"$ECKART" sweep "$@" --data short.jsonl --batch 1 --jobs 1 --no-times -q --out one >/dev/null 2>err
[ ! -s err ] || say_failure "--quiet is not quiet: $(cat err)"
"$ECKART" sweep "$@" --data short.jsonl --batch 1 --jobs 3 --no-times -q --out three --json >json
for file in sweep.csv sweep.json report.html; do
  cmp "one/$file" "three/$file" || say_failure "three jobs change $file"
done
cmp three/sweep.json json || say_failure '--json is not sweep.json'
"$ECKART" sweep "$@" --data short.jsonl --batch 1 --ranks 128 --jobs 1 --no-times --out one >/dev/null 2>err
grep -q '^eckart: continuing: 3 of 4 models are there' err || say_failure "continuing: $(cat err)"
[ "$(wc -l <one/sweep.csv)" -eq 5 ] || say_failure 'one more rank, one more row'

# With times there are seconds, and these bind the number of jobs.
expect 0 'seconds' sweep "$@" --data short.jsonl --jobs 1 --out timed
head -n 2 timed/sweep.csv | tail -n 1 | grep -q ',,,,,,,,[0-9.]*,Ann' ||
  say_failure "seconds: $(head -n 2 timed/sweep.csv)"
expect 2 'timed holds a sweep with other settings: jobs was 1, now 2' sweep \
  "$@" --data short.jsonl --jobs 2 --out timed

expect 0 . sweep "$@" --data short.jsonl --jobs 1 --no-times --show bus,key --out shown
head -n 1 shown/sweep.csv | grep -q ',summary_bus,summary_key$' || say_failure '--show'

# Bad input: exit 2, a message that names it, no points.
expect 2 'no-such-file' sweep "$@" --data no-such-file --out never
expect 2 "ranks: '64:8:8': steps of 8 do not lead from 64 to 8" sweep \
  --ranks 64:8:8 --data short.jsonl --out never
expect 2 'rank 385 exceeds 384' sweep --ranks 385 --data short.jsonl --out never
expect 2 "no method 'magic'; known: svd" sweep "$@" --methods magic --data short.jsonl --out never
expect 2 "no form 'square'; known: full-core" sweep "$@" --forms square --data short.jsonl --out never
expect 2 "no linear layer is named 'nonsense'" sweep "$@" --targets nonsense --data short.jsonl --out never
expect 2 'level 2 is not in (0, 1)' sweep "$@" --level 2 --data short.jsonl --out never
[ ! -e never ] || say_failure 'a refused sweep made its directory'
expect 2 "no example has the id 'x' to show" sweep "$@" --show x --data short.jsonl --out show
expect 2 'short.jsonl/state: cannot make this directory' sweep "$@" --data short.jsonl --out short.jsonl
expect 2 '--ranks is required' sweep --data short.jsonl --out never
expect 2 '--out is required' sweep --ranks 8 --data short.jsonl
expect 0 'A:B:STEP' sweep --help

finish sweep
