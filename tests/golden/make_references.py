"""Reference outputs that go beyond golden.json and summarizer.json: hidden states in double
precision, generations under every logits processor, and the summarizer with forced BOS. Run with transformers 5.x from the root of the checkout:

    python3 tests/golden/make_references.py OUT_DIRECTORY
"""
import json
import os
import sys

import torch
import transformers
from transformers import BartForConditionalGeneration, BartModel

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = ["tiny_gelu", "tiny_gelu_new", "tiny_bartmodel_prefixless", "tiny_bf16"]
META = dict(transformers=transformers.__version__, torch=torch.__version__)


def load(name):
    path = os.path.join(HERE, name)
    if "prefixless" in name:
        config = transformers.BartConfig.from_pretrained(path)
        model = BartForConditionalGeneration(config)
        model.model = BartModel.from_pretrained(path, dtype=torch.float32)
        model.tie_weights()
        model.final_logits_bias.zero_()
    else:
        model = BartForConditionalGeneration.from_pretrained(path, dtype=torch.float32)
    return model.float().eval()


def digits(tensor):
    return [float(f"{x:.13g}") for x in tensor.flatten().tolist()]


@torch.no_grad()
def double_states(name, out):
    golden = json.load(open(os.path.join(HERE, name, "golden.json")))
    model = load(name).double()
    o = model(input_ids=torch.tensor(golden["input_ids"]),
              attention_mask=torch.tensor(golden["attention_mask"]),
              decoder_input_ids=torch.tensor(golden["decoder_input_ids"]), output_hidden_states=True)
    json.dump(dict(meta=META, encoder_hidden_states=[digits(h) for h in o.encoder_hidden_states],
                   decoder_hidden_states=[digits(h) for h in o.decoder_hidden_states],
                   logits=digits(o.logits)), open(os.path.join(out, name + ".golden_double.json"), "w"))


SETTINGS = [
    dict(repetition_penalty=1.4),
    dict(repetition_penalty=0.8),
    dict(encoder_repetition_penalty=1.5),
    dict(encoder_no_repeat_ngram_size=1),
    dict(encoder_no_repeat_ngram_size=2),
    dict(bad_words_ids=[[5], [34, 65], [2]]),
    dict(sequence_bias=[[[17], 2.0], [[34, 65], -3.0]]),
    dict(min_new_tokens=7),
    dict(suppress_tokens=[13, 28, 81]),
    dict(begin_suppress_tokens=[13, 28, 81]),
    dict(exponential_decay_length_penalty=(4, 1.3)),
    dict(renormalize_logits=True, repetition_penalty=1.2),
    dict(remove_invalid_values=True),
    dict(eos_token_id=[2, 34, 45]),
    dict(no_repeat_ngram_size=2, repetition_penalty=1.2, min_length=6, encoder_no_repeat_ngram_size=3),
    dict(max_new_tokens=5),
    dict(length_penalty=-1.0),
    dict(length_penalty=0.0, early_stopping=True),
]


@torch.no_grad()
def processors(name, out):
    golden = json.load(open(os.path.join(HERE, name, "golden.json")))
    model = load(name)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2)
    rows = []
    for extra in SETTINGS:
        for beams in (1, 4):
            if beams == 1 and ("length_penalty" in extra):
                continue
            for forced_bos in (0, None):
                for source, mask in zip(golden["input_ids"], golden["attention_mask"]):
                    n = sum(mask)
                    k = dict(num_beams=beams, forced_bos_token_id=forced_bos, do_sample=False)
                    if beams > 1:
                        k["num_return_sequences"] = 3
                    if "max_new_tokens" not in extra:
                        k["max_length"] = 16
                    k.update(extra)
                    y = model.generate(input_ids=torch.tensor([source[:n]]),
                                       attention_mask=torch.tensor([mask[:n]]),
                                       return_dict_in_generate=True, output_scores=True, **k)
                    scores = y.sequences_scores.tolist() if beams > 1 else None
                    rows.append(dict(input_ids=source[:n], settings=k, ids=y.sequences.tolist(), scores=scores))
    json.dump(dict(meta=META, model=name, generate=rows), open(os.path.join(out, name + ".processors.json"), "w"))


@torch.no_grad()
def forced_bos(out):
    golden = json.load(open(os.path.join(HERE, "summarizer.json")))
    path = os.path.join(HERE, "..", "..", "examples", "summarization", "model", "dialogue-summarizer-24m")
    model = BartForConditionalGeneration.from_pretrained(path, dtype=torch.float32).float().eval()
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0,
        forced_eos_token_id=2)
    rows = []
    for case in golden["cases"]:
        row = dict(id=case["id"])
        for name, settings in golden["generation"].items():
            s = torch.tensor([case["input_ids"]])
            y = model.generate(input_ids=s, attention_mask=torch.ones_like(s), return_dict_in_generate=True,
                               output_scores=True, **{"num_beams": 1, **settings})
            row[name + "_ids"] = y.sequences[0].tolist()
            row[name + "_score"] = float(y.sequences_scores[0]) if "num_beams" in settings else None
        rows.append(row)
    json.dump(dict(meta=META, cases=rows), open(os.path.join(out, "summarizer_forced_bos.json"), "w"))


if __name__ == "__main__":
    forced_bos(sys.argv[1])
    for model_name in MODELS:
        double_states(model_name, sys.argv[1])
    for model_name in MODELS[:2]:
        processors(model_name, sys.argv[1])
    print(META, os.listdir(sys.argv[1]))
