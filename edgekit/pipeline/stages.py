"""Running one stage: a checkpoint in, a checkpoint and its trace row out, both in the cache. The
bridge between a recipe's sections and the plain arguments of compress/: config stops here."""

from __future__ import annotations

import copy
import dataclasses
import functools
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgekit.bundle.manifest import TraceRow
from edgekit.cache import Cache, cache_root
from edgekit.compress import checkpoint as checkpoints
from edgekit.compress.checkpoint import Checkpoint, ModelSpec, Quantization
from edgekit.compress.prune import channel_removal
from edgekit.compress.prune import masks as weight_masks
from edgekit.compress.quantize import calibrate, pt2e
from edgekit.compress.training import fit as train
from edgekit.data.dataset import Dataset
from edgekit.errors import ModelError
from edgekit.metrics import headline
from edgekit.models.create import create_model
from edgekit.models.fingerprint import resolve_weights
from edgekit.models.outputs import named_outputs
from edgekit.models.weights import load_weights
from edgekit.pipeline.data import data_of, saved_test_split
from edgekit.progress import Progress
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import (
    Finetune,
    Import,
    Iterative,
    Polynomial,
    PruneNM,
    PruneStructured,
    PruneUnstructured,
    QuantizePtq,
    QuantizeQat,
    Stage,
    Train,
    Training,
)
from edgekit.tasks.task import load_task

if TYPE_CHECKING:
    from edgekit.pipeline.planning import Plan, PlannedStage


class StageRunner:
    """Runs the stages of one recipe. Holds the dataset and the checkpoints made so far, each loaded
    once and only when a stage needs it."""

    def __init__(
        self, loaded: LoadedRecipe, planned: Plan, cache: Cache, progress: Progress
    ) -> None:
        self._loaded = loaded
        self._recipe = loaded.recipe
        self._base = loaded.path.parent
        self._plan = planned
        self._cache = cache
        self._progress = progress
        self._task = load_task(self._recipe.task, self._base)
        self._done: dict[int, Checkpoint] = {}
        train.deterministic(self._recipe.seed, strict=self._recipe.deterministic)

    @functools.cached_property
    def data(self) -> Dataset:
        data = data_of(self._loaded)
        saved_test_split(self._loaded, cache_root(), data)  # the exports need it later
        return data

    @functools.cached_property
    def example(self) -> Tensor:
        """A batch of two real samples: shapes for tracing, and numbers that exercise batch norm."""
        return _only(self.data.train.at(slice(0, 2)))

    def run(self, planned: PlannedStage) -> TraceRow:
        """Run a stage, put its result into the cache, and return its trace row. Resumes an
        interrupted training of the same stage."""
        stage = self._recipe.stages[planned.index]
        with self._cache.claim(planned.key, f"stage {planned.name}") as work:
            started = time.monotonic()
            self._progress(planned.name, 0, 0, "")
            before = self._parent(planned)
            sizes = self._sizes(before.model) if stage.stage == "quantize" else None
            result, notes = self._run(stage, before, planned.name, work)
            row = self._trace(
                planned,
                result,
                sizes or self._sizes(result.model),
                time.monotonic() - started,
                notes,
            )
            entry = self._cache.scratch()
            checkpoints.save(result, entry)
            (entry / "trace.json").write_text(row.model_dump_json(), encoding="utf-8")
            self._cache.put(planned.key, entry)
            shutil.rmtree(work)
        self._done[planned.index] = result
        self._progress(planned.name, 1, 1, "done")
        return row

    def checkpoint(self, index: int) -> Checkpoint:
        """The result of a stage: at hand, from the cache, or run now, with the stages it needs."""
        if index not in self._done:
            planned = self._plan.stages[index]
            if planned.cached is None:
                self.run(planned)
            else:
                self._done[index] = checkpoints.load(planned.cached, self.example, base=self._base)
        return self._done[index]

    def _parent(self, planned: PlannedStage) -> Checkpoint:
        """What the stage continues from, as a copy it may change."""
        if planned.parent is not None:
            parent = self.checkpoint(planned.parent)
            return dataclasses.replace(parent, model=copy.deepcopy(parent.model))
        spec = ModelSpec(
            self._recipe.model.name, self._recipe.model.args, self._recipe.seed, self._base
        )
        model = create_model(spec.name, spec.args, seed=spec.seed, base=spec.base)
        if self._recipe.model.weights:
            load_weights(model, resolve_weights(self._recipe.model.weights, self._base))
        check_forward(model, self.example, self._recipe.model.name)
        return Checkpoint(spec, model)

    def _run(
        self, stage: Stage, before: Checkpoint, name: str, work: Path
    ) -> tuple[Checkpoint, tuple[str, ...]]:
        """The result of a stage and remarks for its trace row. `before` may be changed."""
        if isinstance(stage, Import):
            return before, ()
        if isinstance(stage, Train | Finetune):
            self._fit(
                before.model,
                stage,
                name=name,
                resume_path=work / "epoch.pt",
                after_step=_hold(before.model, before.masks),
            )
            return before, ()
        if isinstance(stage, PruneStructured):
            return self._prune_structured(before, stage, name)
        if isinstance(stage, PruneUnstructured | PruneNM):
            return self._prune_weights(before, stage, name, work), ()
        if isinstance(stage, QuantizePtq):
            return self._quantize_ptq(before, stage, name), ()
        if isinstance(stage, QuantizeQat):
            return self._quantize_qat(before, stage, name, work), ()
        return (
            dataclasses.replace(before, quantization=Quantization(stage.method, stage.keep_float)),
            (),
        )

    def _fit(
        self,
        model: nn.Module,
        settings: Training,
        *,
        name: str,
        resume_path: Path | None,
        seed_offset: int = 0,
        **hooks: Any,
    ) -> None:
        """Train with the settings of a recipe section."""
        arguments = {
            key: getattr(settings, key) for key in Training.model_fields if key != "distill"
        }
        if settings.distill is not None:
            teacher = next(
                stage.index for stage in self._plan.stages if stage.name == settings.distill.teacher
            )
            arguments |= {
                "teacher": self.checkpoint(teacher).model.eval(),
                "temperature": settings.distill.temperature,
            }
            arguments["distill_weight"] = settings.distill.weight
        progress = functools.partial(self._progress, name)
        train.fit(
            model,
            self.data.train,
            task=self._task,
            **arguments,
            seed=self._recipe.seed + seed_offset,
            resume_path=resume_path,
            progress=progress,
            **hooks,
        )

    def _prune_structured(
        self, before: Checkpoint, stage: PruneStructured, name: str
    ) -> tuple[Checkpoint, tuple[str, ...]]:
        """Remove channels at once, or in steps with training between them; ratios of a step count
        from the channels before the first."""
        model, schedule = before.model, stage.schedule
        steps = schedule.steps if isinstance(schedule, Iterative) else 1
        removed: list[Any] = []
        macs_before, _ = channel_removal.count_macs_params(model, self.example)
        for step in range(1, steps + 1):
            removed += channel_removal.prune_structured(
                model,
                self.example,
                importance=stage.importance,
                ratio=None if stage.ratio is None else stage.ratio * step / steps,
                macs=None if stage.macs is None else stage.macs ** (1 / steps),
                scope=stage.scope,
                max_layer_ratio=stage.max_layer_ratio,
                per_layer={
                    pattern: ratio * step / steps for pattern, ratio in stage.per_layer.items()
                },
                include=stage.include,
                exclude=stage.exclude,
                round_to=stage.round_to,
                loss_batches=functools.partial(self._losses, batches=stage.calibration_batches),
                earlier=list(removed) if steps > 1 else None,
            )
            if isinstance(schedule, Iterative):
                self._fit(
                    model,
                    schedule.train,
                    name=f"{name} {step}/{steps}",
                    resume_path=None,
                    seed_offset=step,
                )
        macs, _ = channel_removal.count_macs_params(model, self.example)
        return dataclasses.replace(before, pruning_history=(*before.pruning_history, *removed)), (
            f"{macs / macs_before:.1%} of the MACs left",
        )

    def _losses(self, model: nn.Module, *, batches: int, batch_size: int = 64) -> Iterator[Tensor]:
        """Label losses on training batches, for gradient-based importances."""
        data = self.data.train
        if data.targets is None:
            raise ModelError(
                f"importance `taylor` needs labels, and data {self._recipe.data.name} has none",
                hint="use importance: magnitude",
            )
        for start in range(0, min(batches * batch_size, len(data)), batch_size):
            rows = slice(start, start + batch_size)
            outputs = named_outputs(model(*data.at(rows).values()))
            yield self._task.loss(outputs, data.targets[rows])

    def _prune_weights(
        self, before: Checkpoint, stage: PruneUnstructured | PruneNM, name: str, work: Path
    ) -> Checkpoint:
        """Zero weights under masks: at once, in steps with training between, or while training."""
        model, schedule = before.model, stage.schedule
        masks: dict[str, Tensor] = {}
        if isinstance(schedule, Polynomial):
            assert isinstance(stage, PruneUnstructured)
            masks = self._prune_gradually(model, stage, schedule, name, work)
        elif isinstance(schedule, Iterative):
            for step in range(1, schedule.steps + 1):
                masks = self._masks(model, stage, step / schedule.steps)
                weight_masks.apply_masks(model, masks)
                self._fit(
                    model,
                    schedule.train,
                    name=f"{name} {step}/{schedule.steps}",
                    resume_path=None,
                    seed_offset=step,
                    after_step=_hold(model, masks),
                )
        else:
            masks = self._masks(model, stage, 1.0)
        masks = {
            key: mask * before.masks[key] if key in before.masks else mask
            for key, mask in masks.items()
        }
        weight_masks.apply_masks(model, masks)
        return dataclasses.replace(before, masks={**before.masks, **masks})

    def _masks(
        self, model: nn.Module, stage: PruneUnstructured | PruneNM, share: float
    ) -> dict[str, Tensor]:
        """The masks at a share of the way to the final sparsity."""
        if isinstance(stage, PruneNM):
            kept = stage.m - round((stage.m - stage.n) * share)
            return weight_masks.n_m_masks(
                model, n=kept, m=stage.m, include=stage.include, exclude=stage.exclude
            )
        return weight_masks.magnitude_masks(
            model,
            sparsity=stage.sparsity * share,
            criterion=stage.criterion,
            scope=stage.scope,
            include=stage.include,
            exclude=stage.exclude,
            parameters=stage.parameters,
            seed=self._recipe.seed,
        )

    def _prune_gradually(
        self,
        model: nn.Module,
        stage: PruneUnstructured,
        schedule: Polynomial,
        name: str,
        work: Path,
    ) -> dict[str, Tensor]:
        steps = train.steps_total(
            len(self.data.train), schedule.train.batch_size, schedule.train.epochs
        )
        after_step, masks = weight_masks.gradual_masks(
            model,
            initial=schedule.initial_sparsity,
            final=stage.sparsity,
            begin_step=schedule.begin_step,
            end_step=schedule.end_step or max(schedule.begin_step + 1, steps * 3 // 4),
            power=schedule.power,
            frequency=schedule.frequency,
            criterion=stage.criterion,
            scope=stage.scope,
            include=stage.include,
            exclude=stage.exclude,
            parameters=stage.parameters,
            seed=self._recipe.seed,
        )
        self._fit(
            model, schedule.train, name=name, resume_path=work / "epoch.pt", after_step=after_step
        )
        return masks()

    def _quantize_ptq(self, before: Checkpoint, stage: QuantizePtq, name: str) -> Checkpoint:
        quantization = Quantization("ptq", stage.keep_float, stage.observer)
        graph = checkpoints.prepare(before.model.eval(), self.example, quantization)
        rows = range(0, min(stage.calibration_samples, len(self.data.train)), 32)
        batches = (
            _only(self.data.train.at(slice(start, min(start + 32, stage.calibration_samples))))
            for start in rows
        )
        calibrate.calibrate(
            graph, _counted(batches, len(rows), functools.partial(self._progress, name))
        )
        return dataclasses.replace(before, model=graph, quantization=quantization)

    def _quantize_qat(
        self, before: Checkpoint, stage: QuantizeQat, name: str, work: Path
    ) -> Checkpoint:
        """Train with fake quantization; batch norm, then the scales, are frozen towards the end:
        what is trained last is what ships."""
        quantization = Quantization("qat", stage.keep_float)
        graph = checkpoints.prepare(before.model, self.example, quantization)
        epochs = stage.train.epochs
        freeze_batchnorm = (
            2 / 3 * epochs if stage.freeze_batchnorm_epoch is None else stage.freeze_batchnorm_epoch
        )
        freeze_observer = (
            3 / 4 * epochs if stage.freeze_observer_epoch is None else stage.freeze_observer_epoch
        )
        steps_per_epoch = train.steps_total(len(self.data.train), stage.train.batch_size, 1)
        hold = _hold(graph, before.masks)

        def mode(step: int) -> None:
            epoch = step / steps_per_epoch
            pt2e.set_qat_mode(
                graph,
                training=True,
                freeze_observers=epoch >= freeze_observer,
                freeze_batchnorm=epoch >= freeze_batchnorm,
            )

        def after_step(step: int) -> None:
            if hold is not None:
                hold(step)
            if step in (
                round(freeze_batchnorm * steps_per_epoch),
                round(freeze_observer * steps_per_epoch),
            ):
                mode(step)

        self._fit(
            graph,
            stage.train,
            name=name,
            resume_path=work / "epoch.pt",
            after_step=after_step,
            set_train_mode=mode,
        )
        pt2e.set_qat_mode(graph, training=False)
        return dataclasses.replace(before, model=graph, quantization=quantization)

    def _sizes(self, model: nn.Module) -> dict[str, Any]:
        """Parameters, multiply-accumulates of one sample, and the fraction of the weights that is
        not zero."""
        macs, parameters = channel_removal.count_macs_params(model.eval(), self.example[:1])
        return {
            "parameters": parameters,
            "macs": macs,
            "nonzero_fraction": 1 - weight_masks.zero_fraction(model),
        }

    def _trace(
        self,
        planned: PlannedStage,
        result: Checkpoint,
        sizes: dict[str, Any],
        seconds: float,
        notes: tuple[str, ...],
    ) -> TraceRow:
        """The row of a float stage is complete; a quantize stage's bytes and accuracy are those of
        its artifact and come later."""
        measured: dict[str, Any] = dict.fromkeys(
            ("bytes", "deflated_bytes", "top1_correct", "top1_total")
        )
        if result.quantization is None:
            weights = b"".join(
                tensor.detach().contiguous().numpy().tobytes()
                for tensor in result.model.state_dict().values()
            )
            value = headline(train.evaluate(result.model.eval(), self.data.test, self._task))
            measured = {
                "bytes": len(weights),
                "deflated_bytes": len(zlib.compress(weights, 6)),
                "top1_correct": value and value.right,
                "top1_total": value and value.samples,
            }
        parent = None if planned.parent is None else self._plan.stages[planned.parent].name
        return TraceRow(
            stage=planned.name,
            kind=planned.kind,
            parent=parent,
            seconds=round(seconds, 3),
            notes=notes,
            **sizes,
            **measured,
        )


def _only(samples: Mapping[str, Tensor]) -> Tensor:
    """The tensor of a model with one input."""
    [tensor] = samples.values()
    return tensor


def check_forward(model: nn.Module, example: Tensor, name: str) -> None:
    """Run one batch. Raises ModelError when the model does not take this input, or does not return
    one tensor per sample."""
    try:
        with torch.no_grad():
            output = model.eval()(example)
    except Exception as error:  # any library error of the user's own forward
        shape = tuple(example.shape[1:])
        raise ModelError(
            f"model {name} does not run on input {shape}: {str(error).splitlines()[0]}",
            hint="check input.shape and model.args",
        ) from None
    if not isinstance(output, torch.Tensor) or output.shape[:1] != example.shape[:1]:
        raise ModelError(
            f"model {name} must return one tensor with a row per sample",
            hint="wrap it in a factory that selects its output",
        )
    if not torch.isfinite(output).all():
        raise ModelError(
            f"model {name} returns NaN or infinity on real samples",
            hint="check its weights, input.mean and input.std",
        )


def _hold(model: nn.Module, masks: Mapping[str, Tensor]) -> Callable[[int], None] | None:
    """A hook that keeps pruned weights at zero after each optimizer step."""
    return (lambda step: weight_masks.apply_masks(model, masks)) if masks else None


def _counted(
    batches: Iterator[Tensor], total: int, progress: Callable[[float, float, str], None]
) -> Iterator[Tensor]:
    for done, batch in enumerate(batches):
        progress(done, total, "calibrating")
        yield batch
