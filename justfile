# The tasks of this project. `uv run just` lists them; CI and the pre-commit hooks call the same ones.

_list:
    @just --list --unsorted

# lint, format, types and import rules: what a commit must pass
check: lint types imports

lint:
    uv run ruff check .
    uv run ruff format --check .

types:
    uv run mypy

imports:
    uv run lint-imports --no-cache # its cache misses modules that were renamed

# apply the formatter and what the linter can mend
format:
    uv run ruff check --fix .
    uv run ruff format .

# the fast tests, or the named ones
test *arguments:
    uv run pytest {{ arguments }}

# the tests that take longer
slow *arguments:
    uv run pytest -m slow {{ arguments }}

# the server under load for 20 minutes, and 10,000 malformed requests of each kind: before a release
soak:
    KERAS_DL_SOAK_SECONDS=600 KERAS_DL_BAD_REQUESTS=10000 uv run pytest -m "" --numprocesses=0 --timeout=1500 \
        tests/keras_dl_serving/server/test_reliability.py tests/keras_dl_serving/server/test_bad_requests.py \
        tests/keras_dl_serving/server/test_openapi.py

# a benchmark against its peers, on an idle machine: uv run just benchmark training --quick
benchmark name *arguments:
    uv run --group benchmark python benchmarks/{{ name }}.py {{ arguments }}

# the pages as HTML; a broken link is an error
docs folder="site":
    NO_MKDOCS_2_WARNING=1 uv run --quiet --group docs mkdocs build --quiet --site-dir {{ absolute_path(folder) }}

# the pictures and tables of docs/architecture.md, from the imports
architecture:
    uv run python docs/architecture.py

# tests/errors.txt, the texts of all errors, after an intended change
errors:
    uv run python -m tests._support.error_texts

# build the wheel and run its command without the checkout
wheel folder="dist":
    uv build --quiet --wheel --out-dir {{ folder }}
    cd {{ folder }} && uv run --quiet --no-project --isolated --with ./*.whl keras-dl recipes

# all of it in a new environment, as CI does
ci:
    bash .ci/run
