#[derive(Clone, Debug)]
pub struct UserAgent;
