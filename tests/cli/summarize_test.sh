#!/bin/sh
# The program `eckart summarize` from outside: outputs, exit codes, messages.
# shellcheck source=tests/cli/expect.sh
. "$ECKART_SOURCE_DIR/tests/cli/expect.sh"
samples=$work/samples.jsonl
head -n 12 "$ECKART_SOURCE_DIR/examples/summarization/dialogues.jsonl" >"$samples"

# Texts: a file, standard input, several files.
head -n 1 "$samples" | sed 's/.*"dialogue":"\(.*\)","summary".*/\1/; s/\\n/\n/g' >d01.txt
expected='Jonas is coming to the climbing gym tonight.'
expect 0 "^$expected" summarize d01.txt
"$ECKART" summarize - <d01.txt | grep -q "^$expected" || say_failure 'standard input as -'
"$ECKART" summarize <d01.txt | grep -q "^$expected" || say_failure 'standard input by default'
cp d01.txt copy.txt
expect 0 "^copy.txt: $expected" summarize d01.txt copy.txt

# JSON lines keep the order of the input, whatever the batch.
"$ECKART" summarize --jsonl "$samples" --batch 5 --output batched.jsonl
"$ECKART" summarize --jsonl "$samples" --batch 1 >single.jsonl
cmp batched.jsonl single.jsonl || say_failure 'batches change summaries'
[ "$(wc -l <single.jsonl)" -eq 12 ] || say_failure 'twelve rows'
head -n 1 single.jsonl | grep -q '^{"id":"d01","summary":"Jonas' || say_failure 'first row'
tail -n 1 single.jsonl | grep -q '^{"id":"d12","summary":"' || say_failure 'last row'

# Low rank: full rank changes nothing, the thesis's last saving rank still gives a sentence.
"$ECKART" summarize --jsonl "$samples" --rank 384 >full.jsonl
cmp full.jsonl single.jsonl || say_failure 'full rank changes summaries'
expect 0 'Maya' summarize --rank 159 d01.txt
expect 0 'rank 159, attention, full-core' summarize --compare --rank 159 --form full-core d01.txt
expect 0 'parameters  *23,655,168  *22,737,664  *0.96' \
  summarize --compare --rank 256 --form pivoted d01.txt
expect 0 '"low_rank"' summarize --compare --json --rank-ratio 0.33 --targets linear d01.txt
expect 0 'energy 0.9, q_proj,fc1' summarize --compare --energy 0.9 --targets q_proj,fc1 d01.txt

# Another device is asked for by name, and never exchanged for the processor in silence.
expect 0 'Jonas' summarize --device cpu d01.txt
expect 2 'is none of cpu, cuda, cuda:N' summarize --device gpu d01.txt
expect 2 'is none of cpu, cuda, cuda:N' summarize --device cuda:one d01.txt
expect 2 'built without CUDA\|cudaError' summarize --device cuda:99 d01.txt
expect 2 'fp16 goes with --device cuda' summarize --precision fp16 d01.txt

# 8 bits a number: of the dense model and beside factors.
expect 0 'Jonas' summarize --int8 d01.txt
expect 0 'int8' summarize --compare --int8 d01.txt
expect 0 'rank 200, attention, two-factor, int8' summarize --compare --rank 200 --int8 d01.txt
grep -q 'file bytes\|bytes' out || say_failure 'bytes of the model in 8 bits'

# Generation options.
expect 0 . summarize --beams 1 --max-new-tokens 5 d01.txt
[ "$(wc -w <out)" -le 5 ] || say_failure 'max-new-tokens'

# Bad input: exit 2, a message that names it, nothing written.
expect 2 'no-such-file' summarize no-such-file
: >empty.txt
expect 2 'empty.txt: empty input' summarize empty.txt
printf 'good\377bad' >latin.txt
expect 2 'latin.txt: byte 4: not valid UTF-8' summarize latin.txt
printf '{"dialogue":"Hi"}\n{"dialogue":\n' >broken.jsonl
expect 2 'broken.jsonl:2' summarize --jsonl broken.jsonl --output never.jsonl
printf '{"text":"Hi"}\n' >field.jsonl
expect 2 'field.jsonl:1.*dialogue' summarize --jsonl field.jsonl
expect 0 '"summary"' summarize --jsonl --field text field.jsonl
[ ! -e never.jsonl ] || say_failure 'half an output was written'
expect 2 'rank 385 exceeds min(384, 384)' summarize --rank 385 d01.txt
expect 2 'rank 0 is below 1' summarize --rank 0 d01.txt
expect 2 'at_ratio: 1.5' summarize --rank-ratio 1.5 d01.txt
expect 2 "no linear layer is named 'nonsense'" summarize --rank 8 --targets nonsense d01.txt
expect 2 'excludes' summarize --rank 8 --energy 0.5 d01.txt
expect 2 'num_beams' summarize --beams 0 d01.txt
expect 2 'config.json' summarize --model "$work" d01.txt
expect 2 'unwritable' summarize d01.txt --output unwritable/out.txt

# Longer than the positions: cut with a note, or refused.
i=0
while [ $i -lt 60 ]; do cat d01.txt; i=$((i + 1)); done >long.txt
expect 0 'long.txt: [0-9]* tokens, the model reads 512; the rest is left out' summarize long.txt
expect 2 'long.txt: [0-9]* tokens, the model reads 512' summarize --strict long.txt
"$ECKART" summarize --quiet long.txt >out 2>err
[ ! -s err ] || say_failure '--quiet is not quiet'

# A model whose weights do not fit its configuration, or are no numbers, or are a pickle.
model=$ECKART_SOURCE_DIR/tests/golden/tiny_gelu
mkdir misfit pickle cut
sed 's/"d_model": 32/"d_model": 64/' "$model/config.json" >misfit/config.json
cp "$model/model.safetensors" misfit
cp "$ECKART_SOURCE_DIR"/examples/summarization/model/*/tokenizer.json misfit
expect 2 'model.shared.weight is 97 x 32, not 97 x 64' summarize --model misfit d01.txt
cp "$model/config.json" pickle
: >pickle/pytorch_model.bin
expect 2 'save_pretrained' inspect --model pickle
cp "$model/config.json" cut
head -c 1000 "$model/model.safetensors" >cut/model.safetensors
expect 2 'cut/model.safetensors' inspect --model cut
sed 's/"gelu"/"swoosh"/' "$model/config.json" >cut/config.json
expect 2 "unknown activation 'swoosh'" inspect --model cut

finish summarize
