"""BERT's embeddings: the sum of three tables, normalized."""

import pytest
import torch
from torch import Tensor, nn

from minibert import BertConfig
from minibert.classroom.exercises.networks import FixedDropout
from minibert.equations import layer_norm
from minibert.model.embeddings import BertEmbeddings
from tests.strategies import normal

CONFIG = BertConfig(hidden_size=6, num_attention_heads=2, num_hidden_layers=1, vocab_size=9, max_position_embeddings=8)
SEGMENTS, POSITIONS = torch.tensor([[0, 0, 1, 1]] * 2), torch.arange(4)[None]


def random_embeddings(seed: int) -> tuple[BertEmbeddings, Tensor]:
    """Create embeddings with all parameters random, in float64 and evaluation mode, and the ids of two texts."""
    torch.manual_seed(seed)
    module = BertEmbeddings(CONFIG).double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module, torch.randint(1, 9, (2, 4))


@pytest.mark.parametrize("seed", range(3))
class TestBertEmbeddings:
    def test_value(self, seed: int) -> None:
        """The output is the normalized sum of the rows of the three tables."""
        module, ids = random_embeddings(seed)
        for positions in (POSITIONS, POSITIONS + 3):
            summed = module.words.weight[ids] + module.positions.weight[positions] + module.segments.weight[SEGMENTS]
            expected = layer_norm(summed, module.norm.weight, module.norm.bias, CONFIG.layer_norm_eps)
            torch.testing.assert_close(module(ids, SEGMENTS, positions), expected)

    def test_value_in_training(self, seed: int) -> None:
        """Dropout comes last."""
        module, ids = random_embeddings(seed)
        before = module(ids, SEGMENTS, POSITIONS)
        module.dropout = FixedDropout()
        torch.testing.assert_close(module(ids, SEGMENTS, POSITIONS), FixedDropout()(before))

    def test_dropped_features_are_zero(self, seed: int) -> None:
        module, ids = random_embeddings(seed)
        module.dropout = FixedDropout()
        output = module(ids, SEGMENTS, POSITIONS).flatten()
        assert not output[2::3].any()
        assert output[0::3].all()

    def test_three_tables_are_interchangeable(self, seed: int) -> None:
        """A vector can be moved from a word, a position or a segment to the others. The sum decides, and it is normalized."""
        module, ids = random_embeddings(seed)
        before = module(ids, SEGMENTS, POSITIONS + 2)
        shift = normal(seed + 9, 6)
        with torch.no_grad():
            module.words.weight += 2 * shift
            module.positions.weight -= 3 * shift
            module.segments.weight += shift
        torch.testing.assert_close(module(ids, SEGMENTS, POSITIONS + 2), before)
        with torch.no_grad():
            for table in (module.words, module.positions, module.segments):
                table.weight *= 100
            module.norm.weight.fill_(1)
            module.norm.bias.zero_()
        output = module(ids, SEGMENTS, POSITIONS)
        torch.testing.assert_close(output.square().mean(dim=-1), torch.ones(2, 4).double())

    def test_each_table_is_read_at_its_id(self, seed: int) -> None:
        """Changing one row of a table changes the tokens with this id, position or segment, and no others."""
        for name, ids_of in (("words", None), ("positions", POSITIONS + 2), ("segments", SEGMENTS)):
            module, ids = random_embeddings(seed)
            index = ids if ids_of is None else ids_of.expand(2, 4)
            before = module(ids, SEGMENTS, POSITIONS + 2)
            row = int(index[0, 1])
            with torch.no_grad():
                getattr(module, name).weight[row] += normal(seed + 7, 6)
            changed = (module(ids, SEGMENTS, POSITIONS + 2) != before).any(dim=-1)
            assert torch.equal(changed, index == row)
