#!/usr/bin/env python3
"""Compression on one GPU: eckart's engines beside torch.linalg.svd, and the whole program.

    compress.py build/bench/gpu/compress [--shape bart-large] [--host-layers 1]
                [--program build/bin/eckart --model DIR --data FILE] [--out FILE.json]

The first table has seconds for all linear layers of the shape: their plain SVD in float on the
host, on the GPU and by torch.linalg.svd on the same GPU, and eckart's fit to moments in double
(roots of the metric, eigenvectors or SVD, both factors) on host and GPU. The second has the steps
of `eckart compress` of a model on both.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import torch


def torch_seconds(rows, cols, layers):
    torch.manual_seed(1)
    weight = torch.randn(rows, cols, device="cuda") * 0.02
    torch.linalg.svd(weight, full_matrices=False)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(layers):
        torch.linalg.svd(weight, full_matrices=False)
        torch.cuda.synchronize()
    return time.perf_counter() - start


def decompositions(options):
    command = [options.bench, "--shape", options.shape, "--host-layers", str(options.host_layers)]
    found = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    lines = [json.loads(line) for line in found.splitlines()]
    print(f"\n{options.shape}, all linear layers, seconds; of the host "
          f"{options.host_layers or 'all'} of each kind times their number")
    print("| layers | svd: host | GPU | torch.linalg.svd | torch / GPU | fit: host | GPU | host / GPU |")
    print("|---|---|---|---|---|---|---|---|")
    sums = [0.0] * 5
    for line in lines:
        count = line["layers"]
        line["torch"] = torch_seconds(line["rows"], line["cols"], count)
        host = line.get("host", {"svd": float("nan"), "fit": float("nan")})
        row = [count * host["svd"], count * line["device"]["svd"], line["torch"],
               count * host["fit"], count * line["device"]["fit"]]
        sums = [a + b for a, b in zip(sums, row)]
        print_row(f"{count} {line['kind']}, {line['rows']} x {line['cols']}", row)
    print_row("all", sums)
    return lines


def print_row(name, row):
    host, device, peer, host_fit, device_fit = row
    print(f"| {name} | {host:.2f} | {device:.2f} | {peer:.2f} | {peer / device:.2f} | "
          f"{host_fit:.2f} | {device_fit:.2f} | {host_fit / device_fit:.2f} |", flush=True)


def whole_program(options):
    reports = {}
    for device in ("cpu", "cuda"):
        with tempfile.TemporaryDirectory() as folder:
            command = [options.program, "compress", "--model", options.model, "--calibration",
                       options.data, "--budget", "0.5", "--device", device, "--quiet", "--json",
                       "--out", str(pathlib.Path(folder) / "out")]
            if options.limit:
                command += ["--limit", str(options.limit)]
            found = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
            reports[device] = json.loads(found)
    cpu, cuda = reports["cpu"], reports["cuda"]
    same = cpu["layers"] and [(x["name"], x["form"], x["rank"]) for x in cpu["layers"]] == [
        (x["name"], x["form"], x["rank"]) for x in cuda["layers"]]
    print(f"\neckart compress --budget 0.5 of {cpu['model']}, {cpu['calibration']['dialogues']} "
          f"dialogues, seconds; {'the same plan' if same else 'PLANS DIFFER'}")
    print("| step | host | with GPU | where |")
    print("|---|---|---|---|")
    for a, b in zip(cpu["steps"], cuda["steps"]):
        print(f"| {a['name']} | {a['seconds']:.2f} | {b['seconds']:.2f} | {b['device']} |")
    print(f"| all | {cpu['seconds']:.2f} | {cuda['seconds']:.2f} | |")
    return reports


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="the program of bench/gpu/compress.cpp")
    parser.add_argument("--shape", default="bart-large", choices=["bart-large", "summarizer"])
    parser.add_argument("--host-layers", type=int, default=0)
    parser.add_argument("--program", help="eckart, built with CUDA")
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out")
    options = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    found = {"layers": decompositions(options)}
    if options.program:
        found["program"] = whole_program(options)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
