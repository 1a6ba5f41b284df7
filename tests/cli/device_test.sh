#!/bin/sh
# --device of every command that has it: a GPU that is not there is refused before any work.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
head -n 2 "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" >two.jsonl

# No machine has a GPU of this number; a program without CUDA says that.
absent='--device cuda:99: \(this program was built without CUDA\|there is no such GPU: .*cudaError\)'
sweep='sweep --ranks 64 --targets encoder.layers.0.self_attn.q_proj --out never'
compress='compress --rank 8 --method svd --out never'

# The other inputs are broken: whoever looked at them first would name them.
printf '{' >broken.jsonl
mkdir no-model
# shellcheck disable=SC2086
{
  expect 2 "$absent" summarize --device cuda:99 broken.txt
  expect 2 "$absent" evaluate --device cuda:99 --data broken.jsonl -o never --predictions never
  expect 2 "$absent" $sweep --device cuda:99 --data broken.jsonl
  expect 2 "$absent" $compress --device cuda:99 --model no-model
  [ ! -e never ] || say_failure 'something was written'

  for command in summarize "evaluate --data two.jsonl" "$sweep --data two.jsonl" "$compress"; do
    expect 2 "'gpu' is none of cpu, cuda, cuda:N" $command --device gpu
    expect 2 "'cuda:' is none of cpu, cuda, cuda:N" $command --device cuda:
    expect 2 "'cuda:-1' is none of cpu, cuda, cuda:N" $command --device cuda:-1
  done
  for command in summarize "evaluate --data two.jsonl" "$sweep --data two.jsonl"; do
    expect 2 'precision fp16 goes with --device cuda' $command --precision fp16
    expect 2 'fp8 not in' $command --precision fp8
    expect 0 'On a GPU' ${command%% *} --help
  done
  expect 0 'On a GPU' compress --help

  # One stream: no batches side by side.
  for command in evaluate "$sweep"; do
    expect 2 'jobs goes with --device cpu' $command --data two.jsonl --device cuda --jobs 2
  done
  [ ! -e never ] || say_failure 'something was written by a refused combination'

  # What ran where is in the files.
  expect 0 '"device": "cpu"' evaluate --data two.jsonl --beams 1 --max-new-tokens 4 --json
  grep -q '"precision": "fp32"' out || say_failure 'no precision in the JSON'
}

finish device
