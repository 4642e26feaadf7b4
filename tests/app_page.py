"""Driving a page of the app without a browser."""

from streamlit.testing.v1 import AppTest


def run(app: AppTest) -> AppTest:
    """Run the page and insist that no traceback shows."""
    app.run()
    assert not app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    """Click a button and run the page."""
    app.button(key=key).click()
    return run(app)
