"""A button that puts a text on the visitor's clipboard; Streamlit has none of its own outside code blocks."""

import streamlit as st

_HTML = """<button type="button"><span class="label">Copy</span></button>"""

_CSS = """
button {
  font: inherit; font-size: .875rem; color: var(--st-text-color); background: none; border: 0; border-radius: .5rem;
  padding: .45rem .25rem; min-height: 2.5rem; cursor: pointer;
}
button:hover { color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
"""

_JS = """
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text)
  const area = document.createElement("textarea")  // pages served over plain HTTP have no clipboard object
  area.value = text
  document.body.append(area)
  area.select()
  const copied = document.execCommand("copy")
  area.remove()
  if (!copied) throw new Error("refused")
}

export default function ({ parentElement, data }) {
  const button = parentElement.querySelector("button")
  const label = button.querySelector(".label")
  button.setAttribute("aria-label", data.name)
  button.onclick = async () => {
    try { await copy(data.text); label.textContent = "Copied" } catch { label.textContent = "Can't copy here" }
    setTimeout(() => { label.textContent = "Copy" }, 1500)
  }
}
"""

_component = st.components.v2.component("copy_button", html=_HTML, css=_CSS, js=_JS)


def copy_button(text: str, key: str, name: str = "Copy this answer") -> None:
    """Draw the button; ``name`` is what a screen reader says."""
    _component(data={"text": text, "name": name}, key=key, width="content")
