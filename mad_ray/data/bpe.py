"""Byte pair encoding (Sennrich et al. 2016), learnt with Hugging Face's tokenizers from the training part of a text.

It works on bytes: each is one character of Latin-1 to the library, so that every text can be written with any
vocabulary, and a token is plainly a string of bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ALPHABET = "".join(map(chr, range(256)))
WORDS = r" ?[^ \t\r\n]+|[ \t\r\n]+"
"""Merges stay within a word and the space before it, or within a stretch of white space, as in GPT-2."""


@dataclass(frozen=True)
class Bpe:
    """pieces: the bytes of each token."""

    tokenizer: Any
    pieces: tuple[bytes, ...]

    def encode(self, text: bytes) -> np.ndarray:
        """The text's tokens, int32."""
        return np.array(self.tokenizer.encode(text.decode("latin-1")).ids, np.int32)


def learn_bpe(texts: Sequence[bytes], vocabulary: int) -> Bpe:
    """The 256 bytes, and the merges that are most frequent in the texts until there are `vocabulary` tokens.

    Fewer where no two tokens are neighbours twice any more. The same texts give the same tokens, whatever the threads
    (tests/data/test_text.py: test_bpe_is_the_same_in_every_process).
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, initial_alphabet=list(ALPHABET), show_progress=False
    )
    tokenizer.train_from_iterator([text.decode("latin-1") for text in texts], trainer)
    in_order = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return Bpe(tokenizer, tuple(piece.encode("latin-1") for piece, _ in in_order))
