//! Objects of one type, found by uuid without looking at all of them.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use serde_json::Value;

use super::model::uuid;

/// Objects of one type, in the controller's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    objects: Vec<Value>,
    positions: HashMap<String, usize>,
}

impl Objects {
    /// The object with a uuid.
    pub(super) fn find(&self, id: &str) -> Option<&Value> {
        let has_id = |object: &&Value| uuid(object) == Some(id);
        let indexed = self.positions.get(id).and_then(|position| self.objects.get(*position)).filter(has_id);
        // Positions are those of the time of reading; whoever changes the list after that is served all the same.
        indexed.or_else(|| self.objects.iter().find(has_id))
    }
}

impl From<Vec<Value>> for Objects {
    fn from(objects: Vec<Value>) -> Self {
        let positions = objects.iter().enumerate();
        let positions = positions.filter_map(|(position, object)| Some((uuid(object)?.to_owned(), position))).collect();
        Self { objects, positions }
    }
}

impl Deref for Objects {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.objects
    }
}

impl DerefMut for Objects {
    fn deref_mut(&mut self) -> &mut Vec<Value> {
        &mut self.objects
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_after_changes_too() {
        let mut objects = Objects::from(vec![json!({"uuid": "a"}), json!({"uuid": "b"}), json!({"name": "odd"})]);
        assert_eq!(objects.find("b"), Some(&json!({"uuid": "b"})));
        objects.remove(0);
        objects.push(json!({"uuid": "c"}));
        assert!(objects.find("b").is_some() && objects.find("c").is_some() && objects.find("a").is_none());
    }
}
