"""Tests of ViT: patches as tokens, files, refusals, and the equality of training with transformers.

`test_odd_configurations` compares its outputs, stages, gradients and files with those of transformers.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minibert import ViTConfig, ViTForImageClassification, ViTModel, load, record
from minibert.equations import patches
from minibert.model import read_checkpoint
from minibert.model.vit import PatchEmbeddings

SIZES: dict[str, Any] = {
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "image_size": (4, 6),
    "patch_size": (2, 3),
    "num_channels": 2,
}


def config_of(**changes: object) -> ViTConfig:
    return ViTConfig(**SIZES | changes)


def network(kind: type[ViTModel | ViTForImageClassification] = ViTModel, **changes: object) -> Any:
    """Make a network with all parameters random, in evaluation mode."""
    torch.manual_seed(0)
    model = kind(config_of(**changes)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape or (3, 2, 4, 6), generator=torch.Generator().manual_seed(seed))


class TestPatchEmbeddings:
    def test_the_linear_map_is_a_convolution(self) -> None:
        """As in the authors' code and transformers: the kernels are the rows of the matrix."""
        embeddings = PatchEmbeddings(config_of())
        with record(embeddings) as recording:
            embeddings(images())
        linear = embeddings.projection
        convolved = F.conv2d(images(), linear.weight.view(12, 2, 2, 3), linear.bias, stride=(2, 3))
        torch.testing.assert_close(recording["projection"], convolved.flatten(2).mT)
        assert torch.equal(recording["patches"], patches(images(), 2, 3))

    def test_the_class_token_is_first(self) -> None:
        """Its vector is the same for all images. Each token has a position of its own."""
        embeddings = PatchEmbeddings(config_of()).eval()
        with record(embeddings) as recording:
            vectors = embeddings(images())
        positions = embeddings.positions.weight
        assert vectors.shape == (3, 5, 12)
        torch.testing.assert_close(vectors[:, 0], (embeddings.class_token.weight + positions[0]).expand(3, -1))
        torch.testing.assert_close(vectors[:, 1:], recording["projection"] + positions[1:])

    def test_each_patch_is_embedded_alone(self) -> None:
        embeddings, changed = PatchEmbeddings(config_of()).eval(), images()
        changed[:, :, 2:, 3:] += 1  # the last patch
        differs = (embeddings(changed) != embeddings(images())).any(dim=(0, 2))
        assert differs.tolist() == [False, False, False, False, True]


class TestViT:
    def test_without_positions_the_order_of_the_patches_does_not_matter(self) -> None:
        """An image is a set of patches and their positions."""
        model = network().double()
        exchanged = torch.cat([images()[..., 3:], images()[..., :3]], dim=-1)  # left and right
        assert not torch.allclose(model(exchanged).pooler_output, model(images()).pooler_output)
        model.embeddings.positions.weight.data.zero_()
        one, other = model(images()).last_hidden_state, model(exchanged).last_hidden_state
        torch.testing.assert_close(other, one[:, [0, 2, 1, 4, 3]])

    def test_the_layers_are_normalized_first_and_the_output_last(self) -> None:
        model = network()
        with record(model) as recording:
            output = model(images()).last_hidden_state
        torch.testing.assert_close(output, model.norm(recording["layers.1.output"]))
        first = recording["embeddings.sum"] + recording["layers.0.attention.output"]
        torch.testing.assert_close(recording["layers.0.attention_residual"], first)

    def test_paths_of_a_classifier_are_those_of_the_encoder(self) -> None:
        model = network(ViTForImageClassification)
        with record(model) as recording:
            model(images())
        assert {"embeddings.patches", "layers.1.attention.weights", "norm", "classifier.logits"} <= {*recording.paths}
        assert recording["layers.1.attention.weights"].shape == (3, 3, 5, 5)

    def test_initial_weights(self) -> None:
        """As those of BERT, and as in transformers: truncated normal, also for the class token and the positions."""
        torch.manual_seed(0)
        model = ViTModel(config_of(hidden_size=120, image_size=(20, 30), initializer_range=0.5))
        for tensor in (model.embeddings.positions.weight, model.embeddings.projection.weight, model.pooler.dense.weight):
            assert tensor.std().item() == pytest.approx(0.5 * 0.88, rel=0.05)  # that of the truncated distribution
            assert tensor.abs().max() <= 1
        assert model.embeddings.class_token.weight.count_nonzero() == 120

    def test_the_pooled_vector_has_a_size_of_its_own(self) -> None:
        assert network(pooler_output_size=5, pooler_act="relu")(images()).pooler_output.shape == (3, 5)
        assert network()(images()).pooler_output.shape == (3, 12)

    def test_only_the_output_of_attention_has_a_bias_without_the_three_others(self) -> None:
        attention = network(qkv_bias=False).layers[0].attention
        assert [name for name, _ in attention.named_parameters() if name.endswith("bias")] == ["output.bias"]


class TestFiles:
    @pytest.mark.parametrize("kind", [ViTModel, ViTForImageClassification])
    def test_a_saved_network_is_loaded_as_itself(self, kind: type[Any], tmp_path: Path) -> None:
        """Also without the name of the architecture, if its weights show the head."""
        model = network(kind, qkv_bias=False, pooler_output_size=5)
        model.save_pretrained(tmp_path)
        loaded = load(tmp_path)
        assert type(loaded) is kind
        assert loaded.config == model.config
        assert all(torch.equal(one, model.state_dict()[name]) for name, one in loaded.state_dict().items())
        config = json.loads((tmp_path / "config.json").read_text())
        assert config.pop("architectures") == [kind.__name__]
        assert not {"vocab_size", "max_position_embeddings", "pad_token_id", "tie_word_embeddings"} & config.keys()
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert type(load(tmp_path)) is kind

    def test_names_of_modules_in_transformers_are_read_too(self, tmp_path: Path) -> None:
        """Its `save_pretrained` writes older names than those of its modules, which are in a state dict."""
        transformers = pytest.importorskip("transformers")
        model = network(ViTForImageClassification)
        model.save_pretrained(tmp_path)
        theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path)
        (tmp_path / "model.safetensors").unlink()
        assert "vit.layers.0.attention.q_proj.weight" in theirs.state_dict()
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
        torch.testing.assert_close(load(tmp_path)(images()).logits, model(images()).logits)

    def test_the_encoder_of_a_classifier_and_a_new_head(self, tmp_path: Path) -> None:
        network(ViTForImageClassification).save_pretrained(tmp_path)
        with pytest.warns(UserWarning, match=r"newly initialized .*pooler.dense.weight.* not used by ViTModel: classifier"):
            load(tmp_path, "encoder")
        with pytest.warns(UserWarning, match="newly initialized"):
            assert load(tmp_path, "image-classification", labels=["a", "b", "c"]).config.num_labels == 3
        with pytest.raises(
            ValueError, match="there is no head 'mlm' for this architecture, only encoder, image-classification"
        ):
            load(tmp_path, "mlm")

    def test_masked_image_modeling_is_loaded_as_an_encoder_on_request(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        transformers.ViTForMaskedImageModeling(transformers.ViTConfig(**SIZES)).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="minibert has no ViTForMaskedImageModeling, only ViTModel, ViTForImage"):
            load(tmp_path)
        with pytest.warns(UserWarning, match=r"not used by ViTModel: decoder.*vit.embeddings.mask_token"):
            load(tmp_path, "encoder")

    def test_another_number_of_positions_is_refused(self, tmp_path: Path) -> None:
        """The positions of other images would have to be interpolated."""
        network().save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"image_size": [4, 9]}))
        message = r"embeddings.position_embeddings has shape \(1, 5, 12\), config.json requires \(7, 12\)"
        with pytest.raises(ValueError, match=message):
            load(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps(config | {"patch_size": [2, 2], "image_size": [4, 4]}))
        with pytest.raises(ValueError, match=r"projection.weight has shape \(12, 2, 2, 3\), config.json requires \(12, 8\)"):
            load(tmp_path)

    def test_the_defaults_are_those_of_transformers(self) -> None:
        transformers = pytest.importorskip("transformers")
        ours, theirs = ViTConfig().hub_fields(), transformers.ViTConfig()
        given = {name: value for name, value in ours.items() if name not in ("id2label", "label2id", "problem_type")}
        assert given | {"pooler_output_size": 768} == {name: getattr(theirs, name) for name in given}


class TestConfig:
    @pytest.mark.parametrize("size", [(4, 6), 6])
    def test_a_square_is_one_number(self, size: int | tuple[int, int], tmp_path: Path) -> None:
        config = config_of(image_size=size, patch_size=(2, 2))
        assert config.patch_size == 2
        config.save_json(tmp_path / "config.json", "ViTModel")
        assert ViTConfig.load_json(tmp_path / "config.json") == config
        assert config.num_patches == (6 if size == (4, 6) else 9)

    @pytest.mark.usefixtures("without_shape_checks")
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_size": 0}, "image_size must be a whole number above 0, or height and width, not 0"),
            ({"image_size": (4, 6, 8)}, "image_size must be"),
            ({"image_size": {"height": 4}}, "image_size must be"),
            ({"patch_size": True}, "patch_size must be"),
            ({"patch_size": "2"}, "patch_size must be"),
            ({"patch_size": (3, 3)}, "the height of image_size, 4, is not a multiple of that of patch_size, 3"),
            ({"patch_size": (2, 4)}, "the width of image_size, 6, is not a multiple of that of patch_size, 4"),
            ({"pooler_act": "step"}, "pooler_act 'step' is unknown; choose one of tanh, gelu"),
            ({"pooler_act": ["tanh"]}, "pooler_act .* is unknown"),
            ({"pooler_output_size": 0}, "pooler_output_size must be at least 1, not 0"),
            ({"num_channels": 0}, "num_channels must be at least 1, not 0"),
            ({"hidden_size": 10}, "hidden_size 10 is not divisible by num_attention_heads 3"),
        ],
    )
    def test_invalid_values_are_refused(self, changes: dict[str, object], message: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=message):
            config_of(**changes)
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"} | SIZES | changes))
        with pytest.raises(ValueError, match=f"config.json: {message}"):
            ViTConfig.load_json(tmp_path / "config.json")


@pytest.mark.usefixtures("without_shape_checks")
class TestRefusals:
    @pytest.mark.parametrize(
        ("shape", "hint"),
        [
            ((2, 4, 6), r"pass a batch; for one image, that is pixel_values\[None\]"),
            ((0, 2, 4, 6), "pass a batch"),
            ((1, 3, 4, 6), "the channels come first, and there must be as many as in the config"),
            ((1, 4, 6, 2), "the channels come first"),
            ((1, 2, 6, 4), "scale the images to this size; .* not interpolated"),
            ((1, 2, 8, 12), "scale the images to this size"),
        ],
    )
    def test_images_of_another_shape(self, shape: tuple[int, ...], hint: str) -> None:
        with pytest.raises(ValueError, match=rf"expected \(batch, 2, 4, 6\): {hint}"):
            network()(images(*shape))

    def test_whole_numbers_and_lists(self) -> None:
        with pytest.raises(TypeError, match="pixel_values has whole numbers: scale them"):
            network()(torch.zeros(1, 2, 4, 6, dtype=torch.uint8))
        with pytest.raises(TypeError, match="pixel_values is a list: pass a tensor"):
            network()([[0.0]])

    def test_labels_of_a_wrong_shape(self) -> None:
        with pytest.raises(ValueError, match="labels"):
            network(ViTForImageClassification)(images(), labels=torch.tensor([0, 1]))

    def test_it_has_no_text(self) -> None:
        with pytest.raises(ValueError, match="a ViTModel reads pixel_values, not texts"):
            _ = network().text_config


def test_thirty_training_steps_equal_those_of_transformers(tmp_path: Path) -> None:
    """With AdamW, from the same weights; in float64 the weights agree within 1e-8."""
    transformers, dtype = pytest.importorskip("transformers"), torch.float64
    torch.manual_seed(0)
    ViTForImageClassification(config_of(initializer_range=0.2).with_labels(["a", "b", "c"])).save_pretrained(tmp_path)
    ours = ViTForImageClassification.from_pretrained(tmp_path, dtype=dtype).train()
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path, dtype=dtype, attn_implementation="sdpa").train()
    batches = [(images(seed=seed).to(dtype), torch.tensor([seed % 3, 0, 2])) for seed in range(30)]
    for model in (ours, theirs):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for pixel_values, labels in batches:
            optimizer.zero_grad()
            model(pixel_values=pixel_values, labels=labels).loss.backward()
            optimizer.step()
    theirs.save_pretrained(tmp_path / "theirs")
    trained = read_checkpoint(tmp_path / "theirs").load(dtype=dtype).state_dict()
    largest = max((one - trained[name]).abs().max().item() for name, one in ours.state_dict().items())
    assert largest < 1e-8
