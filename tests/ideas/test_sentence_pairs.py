"""The vectors of sentence pairs, from which the tasks are probed."""

import numpy as np
import pytest
import torch

from benchmarks.ideas import sentence_pairs
from minibert.model import BertForMaskedLM, BertForPreTraining
from minibert.text.examples import PretrainingExamples
from minibert.text.options import ExampleConfig
from tests.ideas.sizes import CONFIG
from tests.training.test_pretraining import TOKENIZER, corpus


@pytest.mark.parametrize("network", [BertForPreTraining, BertForMaskedLM])
def test_vectors_of_sentence_pairs(network: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are [CLS] and the mean of the tokens, without masks and padding. A network without pairs gets no segments."""
    monkeypatch.setattr(sentence_pairs, "data", lambda: type("Data", (), {"tokenizer": TOKENIZER}))
    monkeypatch.setattr(sentence_pairs, "EXAMPLES", ExampleConfig(max_length=16, short_seq_probability=0.0))
    torch.manual_seed(0)
    model = network(CONFIG).double()
    found, labels = sentence_pairs.vectors(model, corpus(), "sop", 0, most=3)
    assert found.shape == (3, 16)
    assert set(labels) <= {0, 1}
    config = ExampleConfig(max_length=16, short_seq_probability=0.0, pairs="sop", mlm_probability=0.0)
    epoch = PretrainingExamples(corpus(), TOKENIZER, config, 0).epoch(0)
    vectors, expected = [], []
    for index in range(len(epoch.lengths)):
        one = epoch.batch(np.array([index]))
        types = one.token_type_ids if network is BertForPreTraining else None
        hidden = model.eval().bert(one.input_ids, None, types).last_hidden_state[0]
        vectors.append(torch.cat([hidden[0], hidden.mean(dim=0)]))
        expected.append(one.next_sentence_label.item())
    nearest = torch.cdist(torch.from_numpy(found), torch.stack(vectors)).min(dim=1)
    assert nearest.values.max() < 1e-6
    assert labels.tolist() == [expected[index] for index in nearest.indices.tolist()]
