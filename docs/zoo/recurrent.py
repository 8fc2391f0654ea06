"""Small recurrent models."""

from __future__ import annotations

from keras import layers

from docs.zoo.models import (
    STEPS,
    TIME,
    TOKENS,
    SineCell,
    Specimen,
    bidirectional_states,
    cells_of_this_package,
    of,
    of_tokens,
    over,
    sequence_to_sequence,
)

RECURRENT = (layers.SimpleRNN, layers.LSTM, layers.GRU)

SPECIMENS = [
    Specimen("SimpleRNN, LSTM, GRU", over(TIME, *(of(cls, 4) for cls in RECURRENT))),
    Specimen(
        "recurrent layers, fixed length, without bias",
        over(STEPS, *(of(cls, 4, use_bias=False) for cls in RECURRENT)),
        tested=False,
    ),
    Specimen(
        "recurrent layers, go_backwards, all outputs and states",
        over(
            TIME,
            *(
                of(cls, 4, go_backwards=True, return_sequences=True, return_state=True)
                for cls in RECURRENT[1:]
            ),
        ),
    ),
    Specimen(
        "recurrent layers, other activations",
        over(
            TIME,
            of(layers.SimpleRNN, 3, "relu"),
            of(layers.LSTM, 3, "elu", "hard_sigmoid"),
            of(layers.GRU, 3, "softsign"),
        ),
        tested=False,
    ),
    Specimen(
        "recurrent layers, an activation without an ONNX node",
        over(TIME, of(layers.GRU, 3, activation="gelu")),
        loops=True,
    ),
    Specimen(
        "GRU(reset_after=False)",
        over(
            TIME, of(layers.GRU, 4, reset_after=False), of(layers.GRU, 4, reset_after=False, use_bias=False)
        ),
        tested=False,
    ),
    Specimen(
        "masked LSTM, GRU (padding, holes)",
        of_tokens(lambda x: [layers.LSTM(3)(x), layers.GRU(3, return_sequences=True, go_backwards=True)(x)]),
        {"tokens": TOKENS},
    ),
    Specimen(
        "stacked, masked",
        of_tokens(
            lambda x: layers.GRU(3)(layers.SimpleRNN(4, return_sequences=True, zero_output_for_mask=True)(x))
        ),
        {"tokens": TOKENS},
        tested=False,
    ),
    *(
        Specimen(
            f"Bidirectional({cls.__name__}), {mode or 'no merge'}, masked",
            of_tokens(
                lambda x, cls=cls, mode=mode: layers.Bidirectional(cls(3, return_sequences=True), mode)(x)
            ),
            {"tokens": TOKENS},
            tested=False,
        )
        for cls, mode in zip((*RECURRENT, *RECURRENT[1:]), ("sum", "mul", "concat", "ave", None), strict=True)
    ),
    Specimen("Bidirectional, states passed to the next layer", over(TIME, lambda: bidirectional_states)),
    *(Specimen(f"{cls.__name__}, sequence to sequence", sequence_to_sequence(cls)) for cls in RECURRENT[1:]),
    Specimen(
        "RNN of several cells",
        over(TIME, lambda: layers.RNN([layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(2)])),
        tested=False,
    ),
    Specimen("layers and cells of keras_dl", cells_of_this_package),
    Specimen(
        "RNN of a custom cell",
        over(TIME, lambda: layers.RNN(SineCell(), return_sequences=True)),
        loops=True,
    ),
    Specimen(
        "TimeDistributed(LSTM)",
        over((3, None, 2), lambda: layers.TimeDistributed(layers.LSTM(3))),
        tested=False,
    ),
    Specimen(
        "TimeDistributed, unknown time",
        over(TIME, lambda: layers.TimeDistributed(layers.Dense(2))),
        refused=dict.fromkeys(
            ("saved_model", "tflite", "onnx"), "traces 'time_distributed.*' wrongly.* Give the input a fixed"
        ),
    ),
    Specimen(
        "ConvLSTM2D",
        over((3, 6, 6, 2), of(layers.ConvLSTM2D, 2, 3, padding="same")),
        loops=True,
        tested=False,
    ),
]
