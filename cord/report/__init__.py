"""The report of a run: one HTML file that needs nothing but a browser.

    making      puts the file together, piece by piece, within a budget of bytes
    reading     what is asked of the lake, streamed
    lines       the list: a line for every problem
    order       whose trees are shown whole when not all fit
    trees       a problem's proposals, each under the one it continues
    blocks      data as gzip and base64, inflated by the page when it is asked for
    figures     the head of the page
    curves, pictures    Altair's, as SVG, light and dark
    page/       the page itself: template, style, scripts

Whatever a model, a user or a data set wrote reaches the page as base64 only and is shown as text.
"""

from cord.report.making import Written, report_key, write_report

__all__ = ["Written", "report_key", "write_report"]
