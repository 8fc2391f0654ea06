"""Presentation: figures, tables, HTML reports and the terminal.

`style`, `figures`, `tables`, `html` and `console` present data and are independent of models.
`theory_figures` plots the results of `keras_dl.theory`; `run` and `release` write the reports of a run folder
and of a release.
"""
