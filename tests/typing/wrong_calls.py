"""Calls that mypy must refuse; the comment names the error's code."""

from __future__ import annotations

from keras_dl.data import load
from keras_dl.export import export, to_onnx, to_tflite
from keras_dl.layers import Conv2D
from keras_dl.models import CNN, GAN, VAE, LanguageModel
from keras_dl.serving import Client, Server
from keras_dl.training import train

CNN(num_clases=3)  # call-arg
VAE(likelihood="normall")  # arg-type
VAE(architecture="dense")  # arg-type
LanguageModel("abc", cell="transformer")  # arg-type
GAN(None, None, loss="minmax")  # arg-type
Conv2D(8, 3, padding="full")  # arg-type
to_onnx(CNN(), "a.onnx", quantize="int9")  # arg-type
to_onnx(CNN(), "a.onnx", quantize="dynamic")  # arg-type
to_tflite(CNN(), "a.tflite", lstm="fussed")  # arg-type
export(CNN(), "releases/a", random="zero")  # arg-type
Server("releases", rest_prot=0)  # call-arg
Client("http://localhost:8501").predict("digits", [[1.0]], lable="stable")  # call-arg
train("vae-digits", precision="float8")  # arg-type
train("vae-digits", strategy="horovod")  # arg-type

for image, label in load("digits", labels=False):  # misc
    print(image, label)
load("digits", ("train", "test")).take(1)  # attr-defined
load("digits", image_sise=28)  # call-overload
VAE.from_preset("vae-digits").sample("three")  # arg-type
