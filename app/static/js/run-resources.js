// The Run page's small charts of what the trainer uses: a point for each sample that comes.

const GIB = 1024 ** 3;
const VALUES = {
  cpu_percent: ({ cpu_percent: value }) => value,
  memory_bytes: ({ memory_bytes: value }) => value / GIB,
  gpu_percent: ({ gpu_percent: value }) => value,
  gpu_memory_bytes: ({ gpu_memory_bytes: value }) => (value === null ? null : value / GIB),
};

/** Add a `resources` event to the charts. */
export function addSample({ time, payload }) {
  const section = document.getElementById("resources");
  if (section.hidden) {
    section.hidden = false;
    for (const plot of section.querySelectorAll(".plot")) window.Plotly?.Plots.resize(plot);
  }
  const x = (time - Number(section.dataset.origin)) / 60;
  for (const plot of section.querySelectorAll(".plot[data-drawn]")) {
    const value = VALUES[plot.data?.[0]?.meta?.resource]?.(payload);
    if (value !== undefined) window.Plotly.extendTraces(plot, { x: [[x]], y: [[value]] }, [0]);
  }
}
