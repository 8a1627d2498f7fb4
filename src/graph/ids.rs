//! Small ids: indices into the lists of a [`Workflow`](super::Workflow).

macro_rules! index_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in its list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                $name(u32::try_from(index).expect("a workflow has fewer than 2^32 items of each kind"))
            }
        }
    };
}

index_id! {
    /// Index of an actor in [`Workflow::actors`](super::Workflow::actors).
    ActorId
}
index_id! {
    /// Index of a pool in [`Workflow::pools`](super::Workflow::pools).
    PoolId
}
index_id! {
    /// Index of a scope in [`Workflow::scopes`](super::Workflow::scopes).
    ScopeId
}
