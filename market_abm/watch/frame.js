// One update: the numbers that the server sent are put into the data sources and drawn with the next
// frame. They are changed in place, so that nothing is sent back.
const {nodes, flows, rows, route, kept, status, sent} = page.frame
const source = (name) => page.sources[name]
const replace = (name, columns) => {
  const target = source(name)
  Object.assign(target.data, columns)
  target.change.emit()
}
const append = (name, columns, most) => {
  const target = source(name)
  for (const [column, values] of Object.entries(columns)) {
    const array = target.data[column]
    array.push(...values)
    array.splice(0, Math.max(0, array.length - most))
  }
  target.change.emit()
  return target.data
}
replace("nodes", nodes)
replace("flows", flows)
if (Object.keys(rows).length > 0) {
  const path = append("path", rows, kept)
  for (const name of ["price-lines", "gradient-lines", "error-lines"]) {
    const ys = source(name).data.of.map((column) => path[column])
    replace(name, {xs: ys.map(() => path.step), ys})
  }
  const last = path.step[path.step.length - 1]
  source("along").setv({start: Math.max(0, last - kept), end: Math.max(last, MIN_STEPS)}, {sync: false})
}
if (route) append("route", route, 10 * kept)
document.getElementById("status").textContent = status

const beats = (window.beats ??= [])
const now = performance.now()
beats.push(now)
while (beats[0] < now - 1000) beats.shift()
const rate = beats.length > 1 ? `(${beats.length} updates a second)` : ""
document.getElementById("meter").textContent = rate

const drawn = () => { page.drawn = sent }
if (document.hidden) requestAnimationFrame(drawn)  // waits until the tab is visible
else setTimeout(drawn, 0)
