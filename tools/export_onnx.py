"""Write a network as an ONNX model: python tools/export_onnx.py runs/quickstart pose.onnx.

Takes either network, up to its raw outputs (heat maps; logits and offsets of the default boxes);
the batch size is open. The file is then run in onnxruntime beside the network and refused where
they differ. Needs the extra: pip install 'jaxpose[onnx]'.
"""

from pathlib import Path

from jaxpose.errors import UsageError, run_main


def main(argv: list[str]) -> None:
    """Checkpoint -> file, and how far it is from the network."""
    if len(argv) != 3:
        raise UsageError("usage: export_onnx.py CHECKPOINT FILE.onnx")
    try:
        from jaxpose.pipelines.export_onnx import export_onnx
    except ImportError as missing:
        hint = "install it with: pip install 'jaxpose[onnx]'"
        raise UsageError(f"{missing.name} is missing; {hint}") from missing
    found = export_onnx(*argv[1:])
    print(f"{argv[2]}: {Path(argv[2]).stat().st_size / 1e6:.1f} MB")
    for name, error in found.errors.items():
        print(f"{name}: max abs error {error:.2g} of values up to {found.largest[name]:.2g}")


if __name__ == "__main__":
    run_main(main)
