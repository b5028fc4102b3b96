"""The keystream against the RFC's own vectors, and against the cipher of a library."""

import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from privacy.dp.entropy import random_words
from privacy.dp.keystream import keystream
from privacy.dp.noise import rounded_gaussian

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def words(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.int32)


def test_the_block_of_rfc_8439_section_2_3_2() -> None:
    key = words(bytes(range(32)))
    nonce = words(bytes.fromhex("000000090000004a00000000")).tolist()
    block = keystream(key, 1, tuple(nonce), counter=1)
    expected = """10f1e7e4 d13b5915 500fdd1f a32071c4 c7d1f4c7 33c06803 0422aa9a c3d46c4e d2826446 079faa09 14c2d705 d98b02a2
        b5129cd1 de164eb9 cbd083e8 a2503c4e"""
    big_endian = block.numpy().astype(">i4").tobytes()
    serialised = block.numpy().astype("<i4").tobytes()
    assert serialised.hex() == expected.replace(" ", "").replace("\n", "")
    assert big_endian != serialised


@given(key=st.binary(min_size=32, max_size=32), counter=st.integers(0, 2**20), blocks=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_every_block_is_that_of_the_library(key: bytes, counter: int, blocks: int) -> None:
    nonce = counter.to_bytes(4, "little") + bytes(12)
    expected = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(64 * blocks))
    assert keystream(words(key), blocks, counter=counter).numpy().tobytes() == expected


@pytest.mark.gpu
@on_a_gpu
def test_a_gpu_makes_the_same_keystream_and_noise_of_the_planned_size() -> None:
    device = torch.device("cuda")
    key = words(bytes(range(32)))
    assert torch.equal(keystream(key.to(device), 5000).cpu(), keystream(key, 5000))
    assert kstest(random_words(100_000, device).double().cpu().numpy() * 2.0**-64 + 0.5, "uniform").pvalue > 1e-6
    drawn = rounded_gaussian(300_000, 2.0**39, device)
    assert drawn.device.type == "cuda"
    assert kstest(drawn.double().cpu().numpy() / 2.0**39, "norm").pvalue > 1e-6
    assert int(drawn[0]) != int(rounded_gaussian(300_000, 2.0**39, device)[0])
