"""The papers' networks, by name: `create("dcnn", size=64)`."""

from .alexnet import AlexNet
from .avendi_localiser import AvendiLocaliser
from .avendi_sae import AvendiSAE
from .axial_unet import AxialUNet, axial_unet, gated_axial_unet
from .bonet import BoNet
from .ciresan_n4 import CiresanN4
from .cnn_bigru import CNNBiGRU
from .cnn_recursive import CNNRecursive
from .conv_autoencoder import ConvAutoencoder
from .dcan import DCAN
from .dcgan import DCGAN
from .dcnn import DCNN
from .dcnn_vgg16 import DCNNVGG16
from .dcunet import DCUNet, MultiResUNet
from .deepmedic import DeepMedic
from .denoising_autoencoder import DenoisingAutoencoder
from .densenet import DenseNet, DenseNet121
from .dncnn import DnCNN
from .efficientnet import EfficientNetB0
from .fcn import FCN
from .fcrn import FCRN50
from .field_unet import FieldUNet
from .kumar_cnn3 import KumarCNN3
from .lenet5 import LeNet5, LeNet5Modern
from .medt import MedT, logo, medt
from .mlp import MLP
from .mobilenet_v2 import MobileNetV2
from .mobilenet_v3 import MobileNetV3
from .mtann import MTANN, MixtureOfMTANNs
from .multistream import MultiStream
from .registry import available, create, default_size, describe, entry, register
from .resnet import ResNet, resnet20, resnet50
from .resnet_3d import ResNet3d, resnet8_3d, resnet18_3d
from .sae import StackedAutoencoder
from .sae_shin import ShinAutoencoder
from .shapes import shapes_only
from .summary import Row, activation_bytes, count_parameters, summary, total_macs
from .transunet import TransUNet, transunet, transunet_tiny
from .triplanar import Triplanar
from .unet import UNet, unet_bn, unet_small
from .unet3d import UNet3d
from .unet_convlstm import UNetConvLSTM
from .unet_monai import MonaiUNet, unet_monai_3d
from .vgg import VGG
from .vnet import VNet
from .voxresnet import AutoContext, VoxResNet
from .xception import Xception
from .zhang2015 import Zhang2015

__all__ = [
    "DCAN",
    "DCGAN",
    "DCNN",
    "DCNNVGG16",
    "FCN",
    "FCRN50",
    "MLP",
    "MTANN",
    "VGG",
    "AlexNet",
    "AutoContext",
    "AvendiLocaliser",
    "AvendiSAE",
    "AxialUNet",
    "BoNet",
    "CNNBiGRU",
    "CNNRecursive",
    "CiresanN4",
    "ConvAutoencoder",
    "DCUNet",
    "DeepMedic",
    "DenoisingAutoencoder",
    "DenseNet",
    "DenseNet121",
    "DnCNN",
    "EfficientNetB0",
    "FieldUNet",
    "KumarCNN3",
    "LeNet5",
    "LeNet5Modern",
    "MedT",
    "MixtureOfMTANNs",
    "MobileNetV2",
    "MobileNetV3",
    "MonaiUNet",
    "MultiResUNet",
    "MultiStream",
    "ResNet",
    "ResNet3d",
    "Row",
    "ShinAutoencoder",
    "StackedAutoencoder",
    "TransUNet",
    "Triplanar",
    "UNet",
    "UNet3d",
    "UNetConvLSTM",
    "VNet",
    "VoxResNet",
    "Xception",
    "Zhang2015",
    "activation_bytes",
    "available",
    "axial_unet",
    "count_parameters",
    "create",
    "default_size",
    "describe",
    "entry",
    "gated_axial_unet",
    "logo",
    "medt",
    "register",
    "resnet8_3d",
    "resnet18_3d",
    "resnet20",
    "resnet50",
    "shapes_only",
    "summary",
    "total_macs",
    "transunet",
    "transunet_tiny",
    "unet_bn",
    "unet_monai_3d",
    "unet_small",
]
