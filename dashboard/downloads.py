"""Tables and charts as files: CSV and Parquet for programs, PNG and SVG for people; made at the click."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pandas as pd
import streamlit as st
import vl_convert

CHART_WIDTH_PX = 720
PNG_SCALE = 2.0


def to_csv(table: pd.DataFrame) -> bytes:
    """Unknown values are empty."""
    return table.to_csv(index=False).encode()


def to_parquet(table: pd.DataFrame) -> bytes:
    """Columns keep their types."""
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def to_png(spec: dict[str, Any]) -> bytes:
    """A Vega-Lite chart on white, at twice its size on a screen."""
    return vl_convert.vegalite_to_png(_on_paper(spec), scale=PNG_SCALE, allowed_base_urls=[])


def to_svg(spec: dict[str, Any]) -> bytes:
    """A Vega-Lite chart on white, letters as letters."""
    return vl_convert.vegalite_to_svg(_on_paper(spec), allowed_base_urls=[]).encode()


def _on_paper(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "width": CHART_WIDTH_PX, "background": "white", "padding": 16}


def download_table(table: Callable[[], pd.DataFrame], name: str, key: str) -> None:
    """Buttons for a table, which is made at the click; ``name`` is that of the files, without ending."""
    _button("CSV", "csv", "text/csv", to_csv, table, name, key)
    _button("Parquet", "parquet", "application/vnd.apache.parquet", to_parquet, table, name, key)


def download_chart(spec: Callable[[], dict[str, Any]], table: Callable[[], pd.DataFrame], name: str, key: str) -> None:
    """Buttons for a chart, as a Vega-Lite specification with its data inside, and for the ``table`` it shows; both are
    made at the click."""
    _button("PNG", "png", "image/png", to_png, spec, name, key)
    _button("SVG", "svg", "image/svg+xml", to_svg, spec, name, key)
    download_table(table, name, key)


def download_file(label: str, make: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    """A button for a file, which is made at the click."""
    st.download_button(
        label,
        make,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        key=key,
        on_click="ignore",
        width="stretch",
    )


def _button(
    label: str,
    ending: str,
    mime: str,
    written: Callable[[Any], bytes],
    source: Callable[[], Any],
    name: str,
    key: str,
) -> None:
    download_file(label, lambda: written(source()), f"{name}.{ending}", mime, f"{key}_{ending}")
