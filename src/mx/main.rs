//! pushflow-mx: copies runs from the history to MongoDB, as pypushflow writes them.

fn main() {
    let _ = mongodb::bson::doc! {};
}
