"""Writes generation_search.json: what Hugging Face's generate() answers for made-up models.

The models are tables: the logits of a row depend on a hash of its sentence and its ids alone, so
that a test can rebuild them without any weights (tests/unit/models/fake_decoder.hpp).
Needs torch and transformers 5.23. Versions 5.16 and 5.17 differ where encoder_repetition_penalty
meets several beams, where they penalize a part of the rows only.
Usage: python3 make_generation_search.py > generation_search.json
"""

import json
import random
import warnings

import torch
import transformers
from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
MASK = (1 << 64) - 1


def mix(h, value):
    """One step of splitmix64."""
    h = (h + value * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
    return h ^ (h >> 31)


def logits(seed, sentence, ids, vocabulary):
    h = mix(mix(seed, sentence), len(ids))
    for i in ids:
        h = mix(h, i)
    return [(mix(h, 1000 + j) >> 40) / 2.0**21 - 4.0 for j in range(vocabulary)]


class table_bart(BartForConditionalGeneration):
    """generate() as it is, forward() from the table."""

    def forward(self, decoder_input_ids=None, encoder_outputs=None, **_):
        sentences = encoder_outputs[0][:, 0, 0].long().tolist()
        rows = [
            logits(self.seed, s, ids, self.config.vocab_size)
            for s, ids in zip(sentences, decoder_input_ids.tolist())
        ]
        return Seq2SeqLMOutput(logits=torch.tensor(rows, dtype=torch.float32)[:, None, :])


def options(rng, vocabulary):
    """Random settings; the first group is always drawn, the rest seldom."""
    o = dict(
        num_beams=rng.choice([1, 1, 2, 3, 4, 4, 5, 6]),
        max_length=rng.choice([2, 3, 6, 9, 12, 14]),
        bos_token_id=0,
        pad_token_id=1,
        decoder_start_token_id=rng.choice([2, 2, 0]),
        eos_token_id=rng.choice([2, 2, 2, [2, 3], [4, 2, 5]]),
    )
    if o["num_beams"] > 1:
        o["early_stopping"] = rng.choice([False, True, "never"])
        o["length_penalty"] = rng.choice([1.0, 1.0, 0.0, -1.0, 0.5, 2.0])
        o["num_return_sequences"] = rng.randint(1, o["num_beams"])
    some = lambda: [rng.randrange(vocabulary) for _ in range(rng.randint(1, 3))]
    seldom = dict(
        min_length=lambda: rng.randint(2, 8),
        no_repeat_ngram_size=lambda: rng.randint(1, 3),
        forced_bos_token_id=lambda: 0,
        forced_eos_token_id=lambda: rng.choice([2, [2, 3]]),
    )
    rare = dict(
        max_new_tokens=lambda: rng.randint(1, 10),
        min_new_tokens=lambda: rng.randint(1, 6),
        encoder_no_repeat_ngram_size=lambda: rng.randint(1, 3),
        repetition_penalty=lambda: rng.choice([0.7, 1.3, 2.0]),
        encoder_repetition_penalty=lambda: rng.choice([0.7, 1.5]),
        bad_words_ids=lambda: [some() for _ in range(4)] + [[2]],
        sequence_bias=lambda: [[[i or 1 for i in some()], rng.uniform(-4, 4)] for _ in range(4)],
        exponential_decay_length_penalty=lambda: [rng.randint(0, 4), rng.choice([1.2, 0.9])],
        remove_invalid_values=lambda: True,
        renormalize_logits=lambda: True,
        suppress_tokens=some,
        begin_suppress_tokens=some,
    )
    for group, chance in ((seldom, 0.35), (rare, 0.1)):
        for key, draw in group.items():
            if rng.random() < chance:
                o[key] = draw()
    if "forced_eos_token_id" in o or "forced_bos_token_id" in o:
        o.pop("suppress_tokens", None)  # later versions refuse to force what is suppressed
    # No biased sequence begins with the decoder start: the versions differ in whether it may match.
    start = o["decoder_start_token_id"]
    for words in (o.get("bad_words_ids", []), [ids for ids, _ in o.get("sequence_bias", [])]):
        for word in words:
            if len(word) > 1 and word[0] == start:
                word[0] = 3
    if o["num_beams"] > 1 and isinstance(o.get("forced_eos_token_id"), list):
        o["forced_eos_token_id"] = 2  # several would tie, and torch.topk leaves their order open
    if "exponential_decay_length_penalty" in o:
        o["remove_invalid_values"] = True  # else a banned EOS becomes NaN
    return o


def answer(case):
    o, sources = case["options"], case["sources"]
    model = table_bart(
        BartConfig(vocab_size=case["vocabulary"], d_model=4, encoder_layers=1, decoder_layers=1,
                   encoder_attention_heads=1, decoder_attention_heads=1, encoder_ffn_dim=4,
                   decoder_ffn_dim=4, max_position_embeddings=40)
    ).eval()
    model.seed = case["seed"]
    model.generation_config = GenerationConfig()
    inputs = torch.tensor(sources)
    numbers = torch.arange(len(sources), dtype=torch.float32)[:, None, None]
    out = model.generate(
        input_ids=inputs, attention_mask=torch.ones_like(inputs), use_cache=False,
        encoder_outputs=BaseModelOutput(last_hidden_state=numbers),
        generation_config=GenerationConfig(**o), return_dict_in_generate=True, output_scores=True,
    )
    case["rows"] = out.sequences.tolist()
    if o["num_beams"] > 1:
        case["scores"] = [round(x, 6) for x in out.sequences_scores.tolist()]
    return case


def main(count=200):
    rng = random.Random(20260101)
    cases = []
    while len(cases) < count:
        vocabulary = rng.choice([6, 8, 11, 20])
        sources = [[rng.randrange(vocabulary) for _ in range(5)] for _ in range(rng.randint(1, 4))]
        case = dict(seed=rng.randrange(1 << 30), vocabulary=vocabulary, sources=sources,
                    options=options(rng, vocabulary))
        case = answer(case)
        # Beams that never were possible have equal scores, too.
        if all(abs(s) < 1e6 for s in case.get("scores", [])):
            cases.append(case)
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    print(f'{{"transformers":"{transformers.__version__}","torch":"{torch.__version__}","cases":[\n{lines}\n]}}')


if __name__ == "__main__":
    with torch.no_grad():
        main()
