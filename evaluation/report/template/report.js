(() => {
  "use strict";
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  const QUIET = "#6b7280";
  const PAPER_PX = 660;
  const LETTERS_PX = innerWidth < 640 ? 11 : 12;
  const config = {
    font: FONT,
    background: null,
    view: { stroke: null },
    axis: { labelColor: QUIET, titleColor: QUIET, labelFontSize: LETTERS_PX, titleFontSize: LETTERS_PX, titleFontWeight: 500,
      gridColor: "#8b909a33", domainColor: "#8b909a66", tickColor: "#8b909a66" },
    legend: { labelColor: QUIET, labelFontSize: LETTERS_PX },
  };
  const actions = { export: true, source: false, compiled: false, editor: false };

  const views = [];
  const draw = async (figure) => {
    const place = figure.querySelector(".canvas");
    const spec = JSON.parse(figure.querySelector("script").textContent);
    try {
      const drawn = await vegaEmbed(place, spec, { ast: true, renderer: "svg", actions, config, logLevel: 1,
        downloadFileName: figure.id });
      views.push(drawn.view);
    } catch (error) {
      place.textContent = "This chart could not be drawn.";
      console.error(error);
    }
  };

  const value = (row, column) => row.cells[column].dataset.value;

  const compare = (one, other, descending) => {
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
    const numbers = Number(one) - Number(other);
    const order = Number.isNaN(numbers) ? one.localeCompare(other) : numbers;
    return descending ? -order : order;
  };

  const sort = (table, header) => {
    const first = header.dataset.first ?? "ascending";
    const turned = first === "ascending" ? "descending" : "ascending";
    const direction = header.getAttribute("aria-sort") === first ? turned : first;
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const body = table.tBodies[0], column = header.cellIndex;
    body.append(...[...body.rows].sort((a, b) =>
      compare(value(a, column), value(b, column), direction === "descending")));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header));
      header.append(button);
    }
  }
  // As wide as paper, so that letters keep their size; a width for screens is scaled down by the style sheet.
  addEventListener("beforeprint", () => { for (const view of views) view.width(PAPER_PX).run(); });
  addEventListener("afterprint", () => dispatchEvent(new Event("resize")));
  for (const figure of document.querySelectorAll("figure.chart")) if (figure.querySelector("script")) draw(figure);
})();
