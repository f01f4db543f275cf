"""The page's configuration, which each visitor loads: without what no page reads.

Gradio writes each argument of each component and event. What is left out here is read by the documentation
of endpoints alone, which only `endpoints` has (their components are of the type "api"), by features that this
app does not use, or is what the page assumes where nothing is said.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

_FOR_PROGRAMS = ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs", "skip_api")
# The class names only the files of components that do not come with Gradio; `key` matters to `gr.render`.
_UNREAD_OF_COMPONENTS = ("component_class_id", "key")
_UNREAD_PROPERTIES = ("preserved_by_key", "_api_info", "name", "delete_callback", "time_to_live", "likeable")
# property -> what the page assumes
_ASSUMED_PROPERTIES: dict[str, Any] = {
    "visible": True,
    "elem_classes": [],
    "_selectable": False,
    "_retryable": False,
    "_undoable": False,
    "streamable": False,
    "show_progress": False,
    "allow_custom_value": False,
    "num_choices_shown": 100,
    "autofocus": False,
    "rtl": False,
    "submit_btn": False,
    "stop_btn": False,
    "component_class_name": "HTML",
    "css_template": "",
    "apply_default_css": True,
    "props": {},
    "link_target": "_self",
    "render_children": False,
    "equal_height": False,
    "header_links": False,
    "allow_reordering": False,
}
# type of a component -> property -> what the page assumes
_ASSUMED_OF: dict[str, dict[str, Any]] = {
    "button": {"variant": "secondary"},
    "checkbox": {"show_label": True, "buttons": []},
    "column": {"variant": "default"},
    "dropdown": {"show_label": True, "type": "value", "buttons": []},
    "file": {"show_label": True, "container": True, "buttons": []},
    "html": {"html_template": "${value}", "show_label": False, "autoscroll": False},
    "markdown": {"sanitize_html": True, "line_breaks": False},
    "number": {"show_label": True, "buttons": []},
    "radio": {"show_label": True, "type": "value", "container": True, "buttons": []},
    "row": {"variant": "default"},
    "slider": {"show_label": True, "container": True},
    "textbox": {"show_label": True, "type": "text", "container": True, "autoscroll": True, "lines": 1},
}
_CLICK = "element.addEventListener('click'"  # what Gradio has each HTML component do
# Of an event the server alone reads these
_UNREAD_OF_EVENTS = (
    "api_description",
    "batch",
    "collects_event_data",
    "max_batch_size",
    "render_id",
    "rendered_in",
    "scroll_to_output",
    "stream_every",
    "time_limit",
)
# The page reads these as if they were not there
_EMPTY_OF_EVENTS = (
    "component_prop_inputs",
    "event_specific_args",
    "js",
    "js_implementation",
    "queue",
    "show_progress_on",
    "trigger_after",
    "trigger_only_on_failure",
    "trigger_only_on_success",
)


def slim(page: gr.Blocks) -> None:
    """Have the page serve its configuration without what no page reads."""
    whole = page.get_config_file

    def get_config_file() -> Any:
        config: Any = whole()
        clicked = {
            target for one in config["dependencies"] for target, event in one["targets"] if event == "click"
        }
        for one in config["components"]:
            _slim_component(one)
            if one["id"] not in clicked and one["props"].get("js_on_load", "").startswith(_CLICK):
                del one["props"]["js_on_load"]
        for one in config["dependencies"]:
            _slim_event(one)
        return config

    page.get_config_file = get_config_file


def _slim_component(one: dict[str, Any]) -> None:
    for name in _UNREAD_OF_COMPONENTS:
        one.pop(name, None)
    props = one["props"]
    if one["type"] != "api":
        for name in _FOR_PROGRAMS:
            one.pop(name, None)
        for name in _UNREAD_PROPERTIES:
            props.pop(name, None)
    assumed = {**_ASSUMED_PROPERTIES, **_ASSUMED_OF.get(one["type"], {})}
    for name, value in assumed.items():
        if name in props and props[name] == value and type(props[name]) is type(value):
            del props[name]
    if one["type"] == "api":
        props.pop("_api_info", None)
        for name in ("example_inputs", "skip_api"):  # which is False
            one.pop(name, None)
        for name in ("api_info_as_input", "api_info_as_output"):
            if one.get(name) == one.get("api_info"):
                one.pop(name, None)


def _slim_event(one: dict[str, Any]) -> None:
    extra = one.get("event_specific_args") or ()
    for name in _UNREAD_OF_EVENTS:
        if name not in extra:
            one.pop(name, None)
    for name in _EMPTY_OF_EVENTS:
        value = one.get(name)  # an event may follow event 0
        if value is None or value == [] or (value is False and name != "queue"):
            one.pop(name, None)
    if one["api_visibility"] == "private":
        one.pop("types", None)
        one.pop("api_name", None)
    if one["connection"] == "sse":
        del one["connection"]
