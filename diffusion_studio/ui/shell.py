"""The page around the tabs, and its launch."""

from __future__ import annotations

import inspect
import os
from contextlib import suppress
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from gradio import themes
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from ..errors import OptionError, StudioError
from ..studio import Studio
from .allocator import limit_heaps
from .api import endpoints
from .closing import ends_politely
from .compare_tab import CompareTab
from .compression import CompressedPage
from .compute import MAX_RUNS, MAX_WAITING, Compute
from .configuration import slim
from .forward_tab import ForwardTab
from .generate_tab import GenerateTab
from .hosting import Hosting, hosting
from .learn_tab import LearnTab
from .model_cards import model_items
from .models_tab import ModelsTab
from .page_script import HEAD, page_script, studio_styles
from .points_tab import PointsTab
from .price import Prices
from .proxy import without_proxy
from .sessions import (
    MAX_SESSIONS,
    ComponentCalls,
    JoinOnce,
    Listeners,
    end_idle_threads,
    free_session,
    limit_sessions,
)
from .static_files import module_head, routes
from .store import RunStore
from .train_tab import TrainTab
from .window import show_window

TITLE = "Diffusion Studio"
START = "() => studio.then((s) => s.page())"  # what the page runs when it is there
MAX_THREADS = 2 * (MAX_RUNS + MAX_WAITING)  # each visitor who watches a run holds one
HERE = Path(__file__).parent
KEEP_FILES = (600, 3600)  # look for stale files every 10 minutes, delete those older than an hour


def build(studio: Studio, compute: Compute, hosting: Hosting = Hosting()) -> gr.Blocks:
    """The app's Blocks; its networks run in `compute`, and visitors may do what `hosting` says."""
    store, prices = RunStore(), Prices(studio, compute, hosting.limit)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=KEEP_FILES, fill_width=True) as page:
        gr.HTML(
            f"{(HERE / 'mark.svg').read_text('utf-8')}<h1>{TITLE}</h1>"
            "<p>Watch noise turn into pictures, step by step</p>",
            elem_id="title",
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                generate = GenerateTab(studio, store, compute, prices)

            def use(name: str) -> dict[Any, Any]:
                """Updates that make a model the chosen one and show the Generate tab."""
                cards = {card.name: card for card in (*studio.models(), studio.card(name))}
                return {
                    **generate.settings.show(studio.recipe(name)),
                    tabs: gr.Tabs(selected="generate"),
                    generate.settings.model: gr.update(items=model_items(list(cards.values())), value=name),
                }

            used = [*generate.settings.outputs(), tabs]
            with gr.Tab("Learn", id="learn-tab"):
                learn = LearnTab(studio, compute)
            with gr.Tab("Compare", id="compare"):
                compare = CompareTab(studio, compute, prices, generate.settings)
            with gr.Tab("Points", id="points"):
                points = PointsTab(studio, store, compute, hosting, use, used)
            with gr.Tab("Forward", id="forward-tab"):
                ForwardTab(studio, store, compute)
            with gr.Tab("Models", id="models"):
                models = ModelsTab(studio, compute, hosting, use, used)
            with gr.Tab("Train", id="train") as train_tab:
                train = TrainTab(studio, hosting, use, used)
            train.connect_tab(train_tab)
        compare.connect(
            page,
            tabs,
            {
                "": (generate.player, generate.recipe_shown),
                "points-": (points.player, points.recipe_shown),
            },
        )
        learn.connect(generate, compare)
        endpoints(studio, compute, store, prices)
        generate.arrive(page)
        if hosting.training:
            page.load(
                train.load, None, train.loaded, queue=False, show_progress="hidden", api_visibility="private"
            )

        def forget(request: gr.Request) -> None:
            for recipe in store.forget(request.session_hash or ""):
                studio.free_states(recipe)
            generate.forget(request.session_hash or "")
            compare.forget(request.session_hash or "")
            points.forget(request.session_hash or "")
            models.forget(request.session_hash or "")
            train.forget(request.session_hash or "")
            free_session(page, request.session_hash or "")

        page.unload(forget)
    return page


@lru_cache(maxsize=1)
def demo() -> gr.Blocks:
    """The app as it is served without any flags, for tools that launch it themselves: their arguments of
    `launch` go before the app's own.
    """
    studio, limits = Studio(), hosting()
    page, options = _prepare(studio, Compute(), limits)
    page.launch = partial(page.launch, **options)
    return page


# One accent; letters of it, and white letters on it, have a contrast of at least 4.5 (WCAG)
_VERMILION = themes.Color(
    "#fff4ef",
    "#ffe4d9",
    "#ffc7b3",
    "#ffa285",
    "#ff7d57",
    "#ee5a31",
    "#c43d17",
    "#a33012",
    "#822711",
    "#6a2312",
    "#3c1008",
)


def _theme() -> themes.Base:
    """Neutral grounds, plain bold labels, real borders. look.css has the same colours for our own parts."""
    plain = {
        **dict.fromkeys(("block_label_background_fill", "block_label_background_fill_dark"), "transparent"),
        **dict.fromkeys(("block_title_background_fill", "block_title_background_fill_dark"), "transparent"),
        **dict.fromkeys(("block_label_border_width", "block_label_border_width_dark"), "0px"),
        **dict.fromkeys(("block_title_text_color", "block_label_text_color"), "*neutral_800"),
        **dict.fromkeys(("block_title_text_color_dark", "block_label_text_color_dark"), "*neutral_200"),
        **dict.fromkeys(("block_title_text_weight", "block_label_text_weight"), "600"),
        **dict.fromkeys(("block_title_padding", "block_label_padding"), "0px"),
        **dict.fromkeys(
            ("block_shadow", "block_shadow_dark", "button_primary_shadow", "button_secondary_shadow"), "none"
        ),
        **dict.fromkeys(("body_text_color_subdued", "block_info_text_color"), "*neutral_600"),
        **dict.fromkeys(("body_text_color_subdued_dark", "block_info_text_color_dark"), "*neutral_400"),
        **dict.fromkeys(
            ("button_primary_background_fill", "button_primary_background_fill_dark"), "*primary_600"
        ),
        **dict.fromkeys(
            ("button_primary_background_fill_hover", "button_primary_background_fill_hover_dark"),
            "*primary_700",
        ),
        **dict.fromkeys(("button_primary_border_color", "button_primary_border_color_dark"), "*primary_600"),
        **dict.fromkeys(("input_background_fill", "block_background_fill"), "white"),
        "button_primary_text_color": "white",
        "color_accent": "*primary_600",
        "checkbox_label_background_fill_selected": "*primary_50",
        "checkbox_label_background_fill_selected_dark": "#3a2019",
        "checkbox_label_text_color_selected": "*neutral_900",
        "checkbox_label_text_color_selected_dark": "*neutral_100",
        "checkbox_label_border_color_selected": "*primary_600",
        "checkbox_label_border_color_selected_dark": "*primary_500",
        "input_border_width": "1px",
        "input_border_width_dark": "1px",
        "input_border_color": "*neutral_300",
        "button_secondary_background_fill": "white",
        "button_secondary_border_color": "*neutral_300",
        "button_secondary_background_fill_hover": "*neutral_100",
        "slider_color": "*primary_600",
        "block_border_width": "1px",
        "block_border_width_dark": "1px",
        "block_border_color": "*neutral_200",
        "block_border_color_dark": "#2e2e33",
        "panel_border_width": "0px",
        "body_background_fill": "#faf9f7",
        "body_background_fill_dark": "#131315",
        "block_background_fill_dark": "#1b1b1e",
        "input_background_fill_dark": "#232327",
        "input_border_color_dark": "#3d3d44",
        "border_color_primary_dark": "#34343a",
        "background_fill_primary_dark": "#1b1b1e",
        "background_fill_secondary_dark": "#232327",
        "button_secondary_background_fill_dark": "#26262a",
        "button_secondary_border_color_dark": "#3d3d44",
    }
    theme = themes.Base(
        primary_hue=_VERMILION,
        secondary_hue=_VERMILION,
        neutral_hue="stone",
        radius_size="md",
        spacing_size="sm",
        text_size="md",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(**plain)
    theme.custom_css = studio_styles()  # the page loads the theme before it shows anything
    return theme


def _server_link() -> str:
    """The script of the page's head by which its requests wait for a server that does not answer."""
    return f"<script>{{\n{page_script(HERE, HEAD)}\n}}</script>"


def _accept_former_choices(page: gr.Blocks) -> None:
    """Let menus take an entry that a page had from the server before its restart.

    A new session knows the first entries only, and Gradio would refuse others in words of its own; the
    functions behind them name what is allowed.
    """
    for block in page.blocks.values():
        if isinstance(block, gr.Dropdown) and not block.allow_custom_value:
            strict = block.preprocess
            block.preprocess = lambda payload, strict=strict: (
                payload if isinstance(payload, str) else strict(payload)
            )


def _remember_signatures(page: gr.Blocks) -> None:
    """Have Python look at the parameters of each component's class once. Gradio asks for them at every output
    and for every component of a new page, which is half of what its event loop does.
    """
    for kind in {type(block) for block in page.blocks.values()}:
        function: Any = kind.__init__
        while function is not None:
            with suppress(AttributeError, TypeError):  # of C; Python cannot note it there
                function.__signature__ = inspect.signature(function)
            function = getattr(function, "__wrapped__", None)


def _prepare(studio: Studio, compute: Compute, hosting: Hosting) -> tuple[gr.Blocks, dict[str, Any]]:
    """The page, and the arguments of its `launch`, without which its components do not start."""
    limit_heaps()
    listeners = Listeners()
    compute.while_heard = listeners.while_heard
    compute.worker.gives_way = hosting.hosted
    page = build(studio, compute, hosting)
    slim(page)
    _remember_signatures(page)
    _accept_former_choices(page)
    page.queue(max_size=None)  # compute says in a sentence that it is full
    # Gradio would keep every answer of every event in the browser; the page's own history keeps recipes.
    os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
    options: dict[str, Any] = {
        "max_threads": MAX_THREADS,
        "state_session_capacity": MAX_SESSIONS,
        "theme": _theme(),
        "head": _server_link() + module_head(),
        "favicon_path": str(HERE / "mark.png"),  # Gradio makes the icons of the installed page from it
        "js": START,
        "i18n": gr.I18n(en={"common.complete": "Done"}),  # screen readers hear it; Gradio has no words for it
        "max_file_size": hosting.max_upload * 10**6,
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "pwa": True,
        "mcp_server": find_spec("mcp") is not None,  # the extra "mcp"
        "allowed_paths": [str(studio.folder.resolve())],
        "_frontend": False,  # it would end the app where its first page takes longer than 3 seconds
        "app_kwargs": {
            "routes": routes(),
            "exception_handlers": {StudioError: error_response},
            "middleware": [
                Middleware(CompressedPage),
                Middleware(ComponentCalls, page=page),
                Middleware(JoinOnce),
                Middleware(end_idle_threads),
                Middleware(listeners.middleware, page=page),
            ],
        },
    }
    return page, options


def serve(
    studio: Studio,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    open_browser: bool = False,
    hosting: Hosting = Hosting(),
    window: bool = False,
) -> None:
    """Launch the app and wait; with `window` until its window is closed. Host and port None are Gradio's own
    choice (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT).
    """
    compute = Compute()
    page, options = _prepare(studio, compute, hosting)
    try:
        with without_proxy(but_for_the_internet=share):
            page.launch(
                server_name=host,
                server_port=port,
                share=share,
                inbrowser=open_browser,
                prevent_thread_lock=True,
                **options,
            )
    except ImportError as error:  # of the link that --share asks for
        if "socksio" not in str(error):
            raise
        raise StudioError(
            "The proxy that the environment names speaks SOCKS, which needs another package: "
            "pip install 'httpx[socks]'."
        ) from error
    except (OSError, OverflowError) as error:  # the latter: it counts on beyond the last port
        if isinstance(error, OSError) and "Cannot find empty port" not in str(error):  # no number tells it
            raise
        raise OptionError(
            "port",
            f"Port {port} is taken. Choose another with --port, or leave it out."
            if port
            else "None of the ports that are tried by default is free. Choose one with --port.",
        ) from error
    except Exception as error:
        if not isinstance(error, httpx.TransportError) and "Couldn't start the app" not in str(error):
            raise
        raise StudioError(
            "The app cannot reach its own address. A proxy or a firewall is in the way: set no_proxy "
            "to localhost,127.0.0.1 or choose another address with --host."
        ) from error
    limit_sessions(page)
    ends_politely()
    compute.call(lambda: _warm_up(studio))
    if not (window and show_window(TITLE, str(page.local_url))):
        page.block_thread()


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """The answer to a program that calls a component's own function with what it does not take."""
    return JSONResponse({"detail": str(error)}, 400)


def _warm_up(studio: Studio) -> None:
    """Load the first model and run one step once the page is up, so that the first click does not wait for
    it.
    """
    try:
        next(studio.stream(studio.recipe(studio.models()[0].name)))
    except StudioError as error:
        print(f"Diffusion Studio: {error}")
