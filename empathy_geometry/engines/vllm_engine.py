"""A model inside vLLM: tokenizer, configuration, identity, and passes that a listener of ours sits in on."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from typing import Any

from empathy_geometry.foundation.terminal import printable

_DIED = (
    "vLLM's engine died (killed, or out of memory; its own words stand above): load it again with eg.load_engine, and "
    "call again with the same store, which goes on where it stopped"
)


class VllmEngine:
    """What `load_engine` gives; `extract_activations` takes it in place of a model.

    Attributes:
        tokenizer: The model's, as `load_model` prepares it.
        cfg: TransformerLens's configuration of the model; `n_ctx` is what the engine takes at most.
        identity: What tells this model from any other, as `models.identity.model_identity`, from its files.
        settings: Engine, version, dtype and options: what can change numbers.
        record: Parallel sizes and the like, which change the last bits at most.
        block_size: Tokens of one block of the prefix cache; 0 where the cache is off.

    Example:
        >>> engine = eg.load_engine("vllm", "meta-llama/Llama-3.1-70B", tensor_parallel_size=8)  # doctest: +SKIP
        >>> acts = eg.extract_activations(engine, texts, layers=[40], store="runs/70b")  # doctest: +SKIP
    """

    def __init__(
        self,
        llm: Any,
        tokenizer: Any,
        cfg: Any,
        *,
        identity: Mapping[str, Any],
        settings: Mapping[str, Any],
        record: Mapping[str, Any],
        block_size: int,
    ) -> None:
        self._llm: Any = llm
        self.tokenizer = tokenizer
        self.cfg = cfg
        self.identity = dict(identity)
        self.settings = dict(settings)
        self.record = dict(record)
        self.block_size = block_size

    @printable
    def __repr__(self) -> str:
        state = "" if self._llm is not None else ", closed"
        return f"VllmEngine({self.cfg.model_name!r}, vLLM {self.settings['version']}, {self.settings['dtype']}{state})"

    def close(self) -> None:
        """End vLLM's processes and free their memory; the engine cannot be used afterwards."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def __enter__(self) -> "VllmEngine":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def listening(self, listener: str, settings: Mapping[str, Any]) -> Iterator[None]:
        """Attach a listener, `module:Class`, in every worker for the time of a `with` block.

        What earlier passes left in the prefix cache is dropped: the listener has not heard it.
        """
        self._guarded(self._open().reset_prefix_cache)
        self._call("eg_listen", listener, json.dumps(settings))
        try:
            yield
        finally:
            if self._alive():
                self._call("eg_silence")

    def run(
        self, prompts: Sequence[Sequence[int]], arguments: Sequence[Mapping[str, Any]], fresh: Sequence[bool]
    ) -> int:
        """Run texts once through the model.

        Args:
            prompts: Token ids of each, with whatever stands before a text.
            arguments: What each request carries to the listener.
            fresh: Texts that are computed from their first token on, whatever the prefix cache holds.

        Returns:
            How many tokens were found in the prefix cache.
        """
        from vllm import SamplingParams

        requests = [{"prompt_token_ids": list(ids)} for ids in prompts]
        sampling = [
            SamplingParams(
                max_tokens=1,
                temperature=0.0,
                detokenize=False,
                ignore_eos=True,
                skip_reading_prefix_cache=alone,
                extra_args=dict(own),
            )
            for own, alone in zip(arguments, fresh, strict=True)
        ]
        llm = self._open()
        outputs = self._guarded(lambda: llm.generate(requests, sampling, use_tqdm=False))
        return sum(int(output.num_cached_tokens or 0) for output in outputs)

    def take(self) -> list[bytes]:
        """What the listeners have kept since the last call, one for each worker that listens."""
        return [part for part in self._call("eg_take") if part]

    def _call(self, method: str, *arguments: Any) -> list[Any]:
        llm = self._open()
        found: list[Any] = self._guarded(lambda: llm.collective_rpc(method, args=arguments))
        return found

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """What a call of vLLM gives; its own client waits for ever once its engine's process was killed."""
        answer: Future[Any] = Future()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)

        Thread(target=work, daemon=True, name="vllm call").start()
        while not wait([answer], timeout=0.5).done:
            if not self._alive():
                raise RuntimeError(_DIED)
        if answer.exception() is not None and not self._alive():
            raise RuntimeError(_DIED) from answer.exception()
        return answer.result()

    def _open(self) -> Any:
        if self._llm is None:
            raise RuntimeError("this engine was closed, or died; load it again with eg.load_engine")
        return self._llm

    def _alive(self) -> bool:
        return self._llm is not None and not getattr(self._llm.llm_engine.engine_core.resources, "engine_dead", False)
