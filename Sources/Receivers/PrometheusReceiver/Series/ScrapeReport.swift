/// The series that every scrape adds about itself.
enum ScrapeReport {
    struct Metric {
        let name: String
        let help: String
        let unit: String
    }

    /// In the order of the values given to `SeriesTable.end`.
    static let metrics = [
        Metric(name: "up", help: "The scraping was successful", unit: ""),
        Metric(name: "scrape_duration_seconds", help: "Duration of the scrape", unit: "s"),
        Metric(name: "scrape_samples_scraped", help: "The number of samples the target exposed", unit: ""),
        Metric(
            name: "scrape_samples_post_metric_relabeling",
            help: "The number of samples remaining after metric relabeling was applied", unit: ""),
        Metric(
            name: "scrape_series_added", help: "The approximate number of new series in this scrape", unit: ""
        ),
    ]
}
