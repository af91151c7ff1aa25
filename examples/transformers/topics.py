"""The help topics of Python as text to learn, and a very small language model for them, without Gangplank."""

import itertools
import pydoc_data.topics

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel

WORDS = 1000
LENGTH = 64


class Topics(Dataset):
    """Python's help, which comes with it: some 700 kB of English, in pieces of 64 tokens."""

    def __init__(self, pieces: list[list[int]]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.pieces)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return a piece; the model itself shifts what it has to predict."""
        piece = torch.tensor(self.pieces[index])
        return {"input_ids": piece, "labels": piece}


def read() -> tuple[Topics, Topics, Topics]:
    """Return the text to train with, to choose by and to judge by, as tokens."""
    topics = [pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(topics[: len(topics) * 8 // 10], vocab_size=WORDS, show_progress=False)
    tokens = list(itertools.chain.from_iterable(tokenizer.encode(topic).ids for topic in topics))
    pieces = [tokens[start : start + LENGTH] for start in range(0, len(tokens) - LENGTH, LENGTH)]
    first, second = len(pieces) * 8 // 10, len(pieces) * 9 // 10
    return Topics(pieces[:first]), Topics(pieces[first:second][:100]), Topics(pieces[second:][:100])


def model() -> GPT2LMHeadModel:
    """Return a GPT-2 of 2 layers."""
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_positions=LENGTH, n_embd=64, n_layer=2, n_head=2))
