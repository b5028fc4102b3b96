"""Write a tiny random Llama as a GGUF file, with a tokenizer of bytes and a chat template."""

from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TOKENS = ("<|endoftext|>", "<eos>", "<pad>", *"abcdefghijklmnopqrstuvwxyz<>:", "\u0120", "ab")  # \u0120 stands for a space
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}"


def save_gguf(path: Path) -> Any:
    """Write the file and return the model."""
    with torch.random.fork_rng():
        torch.manual_seed(13)
        config = LlamaConfig(
            vocab_size=len(TOKENS),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            initializer_range=0.2,
        )
        network = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])  # 3: a token of control
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    _add_tensors(writer, network)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return network.eval()


def _add_tensors(writer: gguf.GGUFWriter, network: Any) -> None:
    """Add the weights under llama.cpp's names; it rotates pairs of neighbours, and transformers the two halves of a head."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, value in network.state_dict().items():
        heads = 4 if "q_proj" in name else 2 if "k_proj" in name else 0
        if heads:
            halves = value.reshape(heads, 2, 4, 32)
            value = torch.stack([halves[:, 0], halves[:, 1]], dim=2).reshape(value.shape)
        writer.add_tensor(str(names.get_name(name, (".weight",))), value.float().numpy())
