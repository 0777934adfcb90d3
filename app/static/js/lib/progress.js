// What a progress event says, as the words and the share a page shows.

import { duration } from "./format.js";

const PHASES = {
  features: "computing features",
  train: "training",
  validation: "validating",
  test: "testing",
};

export function progressView(event) {
  const fraction = event.steps > 0 ? Math.min(1, Math.max(0, event.step / event.steps)) : 0;
  return {
    fraction,
    epochs: `${Math.min(event.epoch, event.epochs)} / ${event.epochs}`,
    phase: PHASES[event.phase] ?? event.phase,
    step: `step ${event.step} of ${event.steps}`,
    speed: Number.isFinite(event.samples_per_s) ? `${event.samples_per_s.toFixed(0)} images/s` : "",
    eta: Number.isFinite(event.eta_s) ? `${duration(event.eta_s)} left` : "",
    elapsed: duration(event.elapsed_s),
  };
}
