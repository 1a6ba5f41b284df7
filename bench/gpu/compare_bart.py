#!/usr/bin/env python3
"""BART on one GPU through eckart and through Transformers with SDPA, in turns.

    compare_bart.py build/bench/gpu/bart [--out FILE.json] [--turns 3] [--shape bart-large]

Both have random weights of one shape and write a fixed number of tokens. A case is run by one and
then by the other, turn after turn; a figure is the median of the turns' medians. Prints a table:
milliseconds of both and their ratio (below 1: eckart is faster), and the time a token without the
encoder's.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch
import transformers

SHAPES = {
    "bart-base": dict(d_model=768, encoder_layers=6, decoder_layers=6, encoder_attention_heads=12,
                      decoder_attention_heads=12, encoder_ffn_dim=3072, decoder_ffn_dim=3072),
    "bart-large": {},
}
FORMATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Peer:
    """Transformers' BART in the formats that are asked for."""

    def __init__(self, shape, repeats):
        self.config = transformers.BartConfig(vocab_size=50265, forced_eos_token_id=None,
                                              **SHAPES[shape])
        self.repeats = repeats
        self.models = {}

    def model(self, name):
        if name not in self.models:
            torch.manual_seed(1)
            made = transformers.BartForConditionalGeneration._from_config(
                self.config, attn_implementation="sdpa")
            self.models[name] = made.to(FORMATS[name]).cuda().eval()
        return self.models[name]

    def run(self, case):
        words = case.split()
        model, work = self.model(words[0]), words[2]
        batch, tokens = int(words[3]), int(words[4])
        torch.manual_seed(2)
        ids = torch.randint(5, 50264, (batch, tokens), device="cuda")
        if work == "encode":
            encoder = model.get_encoder()
            return self.median(lambda: encoder(ids))
        beams, new = int(words[5]), int(words[6])
        settings = dict(num_beams=beams, max_new_tokens=new, min_new_tokens=new, do_sample=False,
                        forced_eos_token_id=None, forced_bos_token_id=None)

        def generate():
            found = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)
            assert found.shape[1] == new + 1, found.shape
            return found.cpu()

        return self.median(generate)

    @torch.inference_mode()
    def median(self, call):
        times = []
        for i in range(self.repeats + 1):
            torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times[1:])


class Own:
    """The program of bench/gpu/bart.cu."""

    def __init__(self, path, shape, repeats):
        self.process = subprocess.Popen([path, "--shape", shape, "--repeats", str(repeats)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, case):
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare_bart: the program ended at '{case}'")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cases_of(formats):
    cases = []
    for name in formats:
        for batch in (1, 64):
            cases.append(f"{name} dense encode {batch} 512")
            for beams in (1, 4):
                cases.append(f"{name} dense generate {batch} 512 {beams} 64")
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--out")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="bart-base")
    parser.add_argument("--formats", nargs="+", choices=sorted(FORMATS), default=["fp16", "fp32"])
    parser.add_argument("--compressed", default="0.33", help="share of the weights kept")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()

    own = Own(options.program, options.shape, options.repeats)
    peer = Peer(options.shape, options.repeats)
    cases = cases_of(options.formats)
    ours, theirs, compressed = {}, {}, {}
    memory = {}
    for turn in range(options.turns):
        for case in cases:
            answer = own.run(case)
            ours.setdefault(case, []).append(answer["ms"])
            memory[case] = {k: v for k, v in answer.items() if k.endswith(("bytes", "ratio"))}
            theirs.setdefault(case, []).append(peer.run(case))
            smaller = own.run(case.replace("dense", options.compressed))
            compressed.setdefault(case, []).append(smaller["ms"])
    own.close()

    device = torch.cuda.get_device_name()
    print(f"{device}, torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{options.shape}, medians of {options.turns} turns of {options.repeats}")
    print(f"{'case':36}{'eckart ms':>11}{'HF ms':>11}{'ratio':>7}{'kept ' + options.compressed:>11}"
          f"{'to dense':>9}{'peak':>6}")
    rows = []
    for case in cases:
        mine, other = statistics.median(ours[case]), statistics.median(theirs[case])
        small = statistics.median(compressed[case])
        peak = memory[case].get("peak_ratio")
        rows.append(dict(case=case, eckart_ms=mine, transformers_ms=other, ratio=mine / other,
                         compressed_ms=small, compressed_to_dense=small / mine, **memory[case]))
        print(f"{case:36}{mine:11.3f}{other:11.3f}{mine / other:7.3f}{small:11.3f}"
              f"{small / mine:9.3f}{peak or 0:6.2f}")
    by_case = {row["case"]: row for row in rows}
    for row in rows:
        words = row["case"].split()
        if words[2] == "generate":
            encoder = by_case[" ".join(words[:2] + ["encode"] + words[3:5])]
            new = int(words[6])
            for name in ("eckart", "transformers"):
                row[f"{name}_ms_a_step"] = (row[f"{name}_ms"] - encoder[f"{name}_ms"]) / new
            print(f"{row['case']}: a step {row['eckart_ms_a_step']:.3f} ms and "
                  f"{row['transformers_ms_a_step']:.3f} ms")
    if options.out:
        with open(options.out, "w") as file:
            json.dump(dict(device=device, torch=torch.__version__,
                           transformers=transformers.__version__, shape=options.shape,
                           turns=options.turns, repeats=options.repeats, cases=rows), file, indent=2)


if __name__ == "__main__":
    main()
