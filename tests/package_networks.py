"""The networks of installed packages that tinymed is held to, fixed before any of them was tried.

Each is data: where its constructor is, what it is given, and the shapes of its inputs, so that one process can build it
with PyTorch and another with tinymed answering for PyTorch (tests/torch_answered.py).  Nothing is downloaded.
A network is not taken off this list because it fails; benchmarks/networks_of_packages.py publishes how each fares.
"""

from typing import Any, NamedTuple

PACKAGES = {
    "torchvision": "torchvision",
    "timm": "timm",
    "monai": "monai",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
}  # by import name: the distribution
BOTH = ("eval", "train")


class Network(NamedTuple):
    """A constructor by its address, "package.module:name", its arguments, and how it is run."""

    package: str
    name: str
    maker: str
    given: dict[str, Any]
    inputs: tuple[tuple[int, ...], ...]
    modes: tuple[str, ...] = BOTH


def listed() -> list[Network]:
    """Every network, package by package."""
    return [*torchvision(), *timm(), *monai(), *segmentation_models()]


def torchvision() -> list[Network]:
    """Classifiers, segmentation networks and networks of clips."""
    found = []

    def add(name: str, side: int = 64, module: str = "", **given: Any) -> None:
        shape = (2, 3, 4, side, side) if module == ".video" else (2, 3, side, side)
        maker = f"torchvision.models{module}:{name}"
        found.append(Network("torchvision", name, maker, {"weights": None, **given}, (shape,)))

    for name in ("alexnet", "vgg11", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121"):
        add(name, num_classes=10)
    for name in ("squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5"):
        add(name, num_classes=10)
    for name in ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf", "regnet_x_400mf"):
        add(name, num_classes=10)
    add("googlenet", num_classes=10, aux_logits=False, init_weights=False)
    add("inception_v3", 96, num_classes=10, aux_logits=False, init_weights=False)
    add("convnext_tiny", 32, num_classes=10)
    add("swin_t", num_classes=10)
    small = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64}
    vit = "torchvision.models.vision_transformer:VisionTransformer"
    found.append(Network("torchvision", "VisionTransformer", vit, small, ((2, 3, 32, 32),)))
    add("fcn_resnet50", 32, ".segmentation", weights_backbone=None, num_classes=3)
    add("deeplabv3_resnet50", 32, ".segmentation", weights_backbone=None, num_classes=3)
    add("lraspp_mobilenet_v3_large", 64, ".segmentation", weights_backbone=None, num_classes=3)
    add("r3d_18", 16, ".video", num_classes=5)
    add("mc3_18", 16, ".video", num_classes=5)
    return found


# One of each family of timm that is small; the side of the square input in pixels.
TIMM = {
    64: "resnet10t resnet18 resnet26d resnetv2_18 resnetv2_50x1_bit seresnet18 seresnext26d_32x4d ecaresnet26t "
    "efficientnet_b0 efficientnet_lite0 tf_efficientnet_b0 mobilenetv2_050 mobilenetv3_small_050 "
    "mobilenetv4_conv_small mnasnet_small lcnet_050 tinynet_e fbnetc_100 convnext_atto convnextv2_atto "
    "densenet121 dla46_c  hrnet_w18_small regnetx_002 regnety_002 repvgg_a0 mobileone_s0 res2net50_14w_8s "
    "resnest14d skresnet18 ghostnet_050 selecsls42  ese_vovnet19b_slim cspresnet50 rexnet_100 gernet_s "
    "gcresnext26ts nf_regnet_b0 legacy_xception poolformer_s12  edgenext_xx_small starnet_s1 repghostnet_050 "
    "fastvit_t8",
    96: "inception_v3 inception_v4",
    224: "levit_128s",
}
TIMM_SIZED = "vit_tiny_patch16_224 deit_tiny_patch16_224 mixer_s32_224 gmlp_ti16_224 resmlp_12_224 pvt_v2_b0"


def timm() -> list[Network]:
    """Classifiers by the name that timm.create_model knows."""
    found = []
    for side, names in TIMM.items():
        for name in names.split():
            given = {"model_name": name, "pretrained": False, "num_classes": 10}
            found.append(Network("timm", name, "timm:create_model", given, ((2, 3, side, side),)))
    for name in TIMM_SIZED.split():
        given = {"model_name": name, "pretrained": False, "num_classes": 10}
        if name != "pvt_v2_b0":
            given["img_size"] = 64
        found.append(Network("timm", name, "timm:create_model", given, ((2, 3, 64, 64),)))
    return found


def monai() -> list[Network]:
    """Networks of monai.networks.nets in two and three dimensions."""
    found = []

    def add(name: str, axes: int, side: int, shape: tuple[int, ...] = (), **given: Any) -> None:
        module, _, maker = f"monai.networks.nets.{name}".rpartition(".")
        size = shape or (2, given.get("in_channels", given.get("n_input_channels", 1)), *(side,) * axes)
        found.append(Network("monai", f"{maker} {axes}D", f"{module}:{maker}", given, (size,)))

    for axes, side in ((2, 32), (3, 16)):
        flat = {"spatial_dims": axes}
        ends = flat | {"in_channels": 1, "out_channels": 3}
        widths = {"channels": (4, 8, 16), "strides": (2, 2)}
        add("UNet", axes, side, **ends, **widths, num_res_units=2)
        add("AttentionUnet", axes, side, **ends, **widths)
        add("BasicUNet", axes, 2 * side, **ends, features=(4, 4, 8, 8, 16, 4))
        add("BasicUNetPlusPlus", axes, 2 * side, **ends, features=(4, 4, 8, 8, 16, 4), deep_supervision=True)
        add("SegResNet", axes, side, **ends, init_filters=8)
        add("SegResNetDS", axes, side, **ends, init_filters=8, dsdepth=2)
        kernels = {"kernel_size": (3, 3, 3), "strides": (1, 2, 2), "upsample_kernel_size": (2, 2)}
        add("DynUNet", axes, side, **ends, **kernels, filters=(4, 8, 16), res_block=True)
        add("AutoEncoder", axes, side, **ends, channels=(4, 8, 16), strides=(2, 2, 2), num_res_units=1)
        add("RegUNet", axes, side, **flat, in_channels=2, num_channel_initial=4, depth=2, out_channels=axes)
        add("MedNeXt", axes, side, **ends, init_filters=4, kernel_size=3)
        add("VNet", axes, 2 * side, **ends, act=("relu", {"inplace": True}))
    dense = {"init_features": 8, "growth_rate": 4, "block_config": (2, 3)}
    add("DenseNet", 2, 32, spatial_dims=2, in_channels=1, out_channels=3, **dense)
    add("DenseNet", 3, 16, spatial_dims=3, in_channels=1, out_channels=3, **dense)
    narrow = {"layers": (1, 1, 1, 1), "block_inplanes": (4, 8, 16, 32), "num_classes": 3, "n_input_channels": 1}
    add("ResNet", 2, 64, spatial_dims=2, block="basic", **narrow)
    add("ResNet", 3, 32, spatial_dims=3, block="bottleneck", shortcut_type="A", **narrow)
    squeeze = {"layers": (1, 1, 1, 1), "groups": 2, "reduction": 16, "inplanes": 64, "num_classes": 3}
    add("SENet", 2, 64, spatial_dims=2, in_channels=1, block="se_bottleneck", dropout_prob=None, **squeeze)
    add("HighResNet", 2, 32, spatial_dims=2, in_channels=1, out_channels=3)
    add("EfficientNetBN", 2, 64, model_name="efficientnet-b0", pretrained=False, in_channels=1, num_classes=3)
    add("FlexibleUNet", 2, 64, in_channels=1, out_channels=3, backbone="efficientnet-b0")
    tower = {"channels": (4, 8), "strides": (2, 2)}
    add("Classifier", 2, 32, (2, 1, 32, 32), in_shape=(1, 32, 32), classes=3, **tower)
    add("Regressor", 3, 16, (2, 1, 16, 16, 16), in_shape=(1, 16, 16, 16), out_shape=(2,), **tower)
    add("Discriminator", 2, 32, (2, 1, 32, 32), in_shape=(1, 32, 32), **tower)
    add("Generator", 2, 8, (2, 10), latent_shape=(10,), start_shape=(4, 8, 8), channels=(4, 1), strides=(2, 2))
    tiny = {"hidden_size": 24, "mlp_dim": 48, "num_heads": 3}
    add("ViT", 3, 16, in_channels=1, img_size=16, patch_size=8, num_layers=2, classification=True, **tiny)
    add("UNETR", 3, 32, in_channels=1, out_channels=3, img_size=32, feature_size=4, **tiny)
    stages = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 3, 4)}
    add("SwinUNETR", 2, 64, spatial_dims=2, in_channels=1, out_channels=2, **stages)
    add("AHNet", 3, 32, spatial_dims=3, in_channels=1, out_channels=2, layers=(1, 1, 1, 1), psp_block_num=2)
    morph = {"unet_out_channels": 4, "channels": (4, 4, 4, 4, 4, 4), "final_conv_channels": (4, 4)}
    add("VoxelMorphUNet", 3, 16, spatial_dims=3, in_channels=2, **morph)
    add("PatchDiscriminator", 2, 32, spatial_dims=2, channels=4, in_channels=1, num_layers_d=2)
    levels = {"num_res_blocks": 1, "channels": (8, 8), "norm_num_groups": 4, "attention_levels": (False, True)}
    add("AutoencoderKL", 2, 32, spatial_dims=2, **levels)
    return found


SEGMENTERS = (
    "Unet",
    "UnetPlusPlus",
    "Linknet",
    "FPN",
    "PSPNet",
    "PAN",
    "DeepLabV3",
    "DeepLabV3Plus",
    "MAnet",
    "UPerNet",
)
ENCODERS = (
    "mobilenet_v2 efficientnet-b0 vgg11_bn densenet121 se_resnext50_32x4d timm-efficientnet-b0 mobileone_s0 dpn68"
)


def segmentation_models() -> list[Network]:
    """Every decoder on resnet18, a U-Net on an encoder of each family, and some encoders of timm."""
    found = []

    def add(decoder: str, encoder: str, side: int = 64, **given: Any) -> None:
        package = "segmentation_models_pytorch"
        given = {"encoder_name": encoder, "encoder_weights": None, "classes": 2, **given}
        shape = (2, given.get("in_channels", 3), side, side)
        name = " ".join([decoder, encoder, *given.get("decoder_attention_type", "").split()])
        found.append(Network(package, name, f"{package}:{decoder}", given, (shape,)))

    for decoder in SEGMENTERS:
        add(decoder, "resnet18", 128 if decoder == "PAN" else 64)
    for encoder in ENCODERS.split():
        add("Unet", encoder)
    add("Unet", "tu-mobilenetv3_small_050")
    add("Unet", "resnet18", in_channels=1, decoder_attention_type="scse")
    add("FPN", "mobilenet_v2")
    add("Segformer", "mit_b0")
    return found
