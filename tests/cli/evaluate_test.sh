#!/bin/sh
# The program `eckart evaluate` from outside: figures, files, exit codes, messages.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
head -n 6 "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" >six.jsonl

# has FILE PATTERN...
has() {
  file=$1
  shift
  for pattern in "$@"; do
    grep -q -e "$pattern" "$file" || say_failure "no '$pattern' in $file: $(cat "$file")"
  done
}

# Greedy search and short summaries, for the time.
greedy='evaluate --data six.jsonl --beams 1 --max-new-tokens 16'

# One model: a table of its figures, at most 98 columns wide.
# shellcheck disable=SC2086
{
  expect 0 '^ROUGE-1  *[0-9.]* \[[0-9.]*, [0-9.]*\]$' $greedy
  has out 'six.jsonl: 6 examples, fingerprint [0-9a-f]\{16\}$' 'greedy, no repeated 3-grams, at most 16 tokens' \
    '^ROUGE-Lsum ' '^perplexity ' '^parameters  *23,655,168$' '^seconds '
  [ ! -s err ] || say_failure "a short run without a terminal is not silent: $(cat err)"

  # The same bytes for the same run, and for every number of jobs but for what tells of them.
  $ECKART $greedy --json --no-times --jobs 1 --predictions rows1.jsonl -o one.json
  $ECKART $greedy --json --no-times --jobs 1 --predictions again.jsonl >two.json
  cmp one.json two.json || say_failure 'two runs differ'
  $ECKART $greedy --json --no-times --jobs 3 --predictions rows3.jsonl -o three.json
  cmp rows1.jsonl rows3.jsonl || say_failure 'jobs change the predictions'
  sed 's/"jobs": 3/"jobs": 1/' three.json | cmp - one.json || say_failure 'jobs change the figures'
  has one.json '"fingerprint": "[0-9a-f]\{16\}"' '"examples": 6' '"num_beams": 1' \
    '"max_new_tokens": 16' '"resamples": 10000' '"compression": null' '"left_out": \[\]'
  if grep -q 'second' one.json; then say_failure '--no-times tells times'; fi
  [ "$(wc -l <rows1.jsonl)" -eq 6 ] || say_failure 'six predictions'
  head -n 1 rows1.jsonl | grep -q '^{"id":"d01","references":\["Jonas .*"prediction":"Jonas ' ||
    say_failure "first prediction: $(head -n 1 rows1.jsonl)"

  # Dense and compressed side by side, with a verdict.
  expect 0 '^verdict      not worse than dense by more than 0.5 points of ROUGE-1$' \
    $greedy --rank 384 --targets fc1 --limit 4
  has out '^  *dense  *compressed  *difference  *p$' '^identical outputs  *100.0 %' \
    'interval of the difference \[0.000, 0.000\] above -0.5)$' '^encoder states  *1.00000'
  expect 0 '^verdict      worse than dense by more than 1 points of ROUGE-L$' \
    $greedy --rank 2 --targets linear --measure rougeL --margin 1 --predictions both.jsonl
  has both.jsonl '"tokens":[0-9]*,"dense":{"prediction":"Jonas '
  awk 'length($0) > 98 { exit 1 }' out || say_failure 'the table is wider than 98 columns'
  expect 0 '"verdict": "undecided"' $greedy --rank 96 --limit 4 --json
  has out '"description": "rank 96, attention, two-factor"' '"identical": ' '"p_value": ' \
    '"examples": 4' '"worst_token": '

  # Rows that cannot be used.
  printf '{"id":"x","dialogue":"A: Hi"}\n' | cat six.jsonl - >faulty.jsonl
  expect 2 'faulty.jsonl:7.*summary' evaluate --data faulty.jsonl
  expect 0 'faulty rows left out, the first: faulty.jsonl:7' \
    evaluate --data faulty.jsonl --skip-faulty --beams 1 --max-new-tokens 2

  # Bad options: exit 2, a message that names the value, nothing written.
  expect 2 'no-such.jsonl' evaluate --data no-such.jsonl
  expect 2 'data is required' evaluate
  expect 2 'batch: Value 0 ' $greedy --batch 0
  expect 2 'jobs: Value -1 ' $greedy --jobs -1
  expect 2 'level 1.5 is not in (0, 1)' $greedy --level 1.5
  expect 2 '5 resamples for level 0.95, which needs 39' $greedy --resamples 5
  expect 2 'margin: Value -1 ' $greedy --margin -1
  expect 2 'rouge9' $greedy --measure rouge9
  expect 2 'num_beams is 0' evaluate --data six.jsonl --beams 0
  expect 2 'rank 385 exceeds' $greedy --rank 385 -o never.json
  expect 2 'missing/out.json: cannot write: No such file' $greedy -o missing/out.json
  expect 2 'predictions six.jsonl would overwrite the data' $greedy --predictions six.jsonl
  expect 2 'are both same.json' $greedy -o same.json --predictions same.json
  [ ! -e never.json ] || say_failure 'half an output was written'
  expect 0 'interval of the difference' evaluate --help
  has out '--margin' 'Fix it before'

  # Ctrl-C: status 130, a message, no files. (A shell gives a job in the background no SIGINT.)
  "$ECKART" evaluate --data "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" \
    -o never.json --predictions never.jsonl 2>err >out &
}
pid=$!
sleep 1
kill -INT "$pid"
set +e
wait "$pid"
got=$?
set -e
[ "$got" -eq 130 ] || say_failure "interrupted: exit $got"
has err 'interrupted, nothing was written'
[ -z "$(ls | grep never)" ] || say_failure 'an interrupted run has written'

finish evaluate
