"""Figures: pure functions from what the store returned to Plotly's JSON, in two steps.

`…_info` gathers what is to be shown into a frozen dataclass; `…_figure` turns that into a dict
with `data` and `layout`. Neither reads anything or looks at the clock. Fonts and grid lines get
their colours in the browser, from the page's own stylesheet, so a figure suits light and dark.
"""
