// How the report looks. gonogo passes the results, the output folder, the report's name and the history file itself.

const layer = (value) => ({ labels }) => labels.some((label) => label.name === "layer" && label.value === value);

const verdict = (name, status) => ({
  name,
  matchers: { statuses: [status] },
  groupByMessage: false,
  groupEnvironments: false,
  expand: true,
});

export default {
  name: "gonogo",
  open: false,
  historyLimit: 50,
  // Sections of the first page, in this order. Allure opens a section always, but a group only when something in it
  // failed: with the criteria in a group, a report that says GO would open with everything folded away.
  environments: {
    criteria: { name: "criteria", matcher: layer("criterion") },
    claims: { name: "claims", matcher: layer("claim") },
  },
  // A categories.json among the results is not read by this report.
  categories: {
    rules: [verdict("NO-GO", "failed"), verdict("INCONCLUSIVE", "broken")],
  },
  plugins: {
    awesome: {
      options: {
        // One HTML file opens from disk; several files would need a web server.
        singleFile: true,
        reportLanguage: "en",
        theme: "light",
        // Results without these labels (the criteria) are not grouped.
        groupBy: ["parentSuite", "suite"],
        defaultSortBy: "order,asc",
        sections: ["charts"],
        charts: [
          { type: "currentStatus", title: "Criteria and claims in this run" },
          { type: "statusDynamics", title: "Last runs", limit: 20 },
          { type: "statusTransitions", title: "What changed from run to run", limit: 20 },
          { type: "successRateDistribution", title: "By group and criterion" },
        ],
      },
    },
  },
};
