"""Everything that people look at: figures, tables, HTML reports and the terminal.

`style`, `figures`, `tables`, `html` and `console` present what they are given and know nothing of models.
`theory_figures` draws the claims of `keras_dl.theory`; `run` and `release` write the reports of a run folder
and of a release.
"""
