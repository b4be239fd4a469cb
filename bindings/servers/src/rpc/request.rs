//! Requests, parameters and failures of the JSON-RPC 2.0 standard.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::method::Method;
use crate::error::ApiError;

pub(super) const PARSE_ERROR: i64 = -32_700;
pub(super) const INVALID_REQUEST: i64 = -32_600;
pub(super) const METHOD_NOT_FOUND: i64 = -32_601;
pub(super) const INVALID_PARAMS: i64 = -32_602;
/// What is not the caller's fault and has no number of its own in the reference.
pub(super) const INTERNAL: i64 = -32_016;
pub(super) const CLOSING: i64 = -32_017;

/// A request that has the form of one.
pub(super) struct Request {
    /// None in a notification, which gets no answer.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: i64, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The answer to the request `id`.
    pub(super) fn into_answer(self, id: Value) -> Value {
        let error = json!({ "code": self.code, "message": self.message });
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let code = match &error {
            ApiError::NotIpv6 => -32_007,
            ApiError::UnknownKey => -32_008,
            ApiError::PeerExists => -32_010,
            ApiError::UnknownPeer => -32_011,
            ApiError::TopicTooLong(_) => -32_015,
            ApiError::UnknownMessage => -32_019,
            ApiError::UnknownTopic => -32_030,
            ApiError::NoProxy => -32_032,
            ApiError::ReservedTopic | ApiError::Unsendable(_) | ApiError::TooLarge(_) => {
                INVALID_PARAMS
            }
            ApiError::Busy(_) | ApiError::Refused(_) | ApiError::TooManyTopics => INTERNAL,
            ApiError::Closing => CLOSING,
        };
        Self::new(code, error)
    }
}

impl Request {
    /// # Errors
    /// The answer to what is no request.
    pub(super) fn read(value: Value) -> Result<Self, Value> {
        let Value::Object(mut members) = value else { return Err(invalid_request(Value::Null)) };
        let id = members.remove("id");
        // Names of requests are text, numbers or null.
        let named = id.clone().filter(|id| !id.is_array() && !id.is_object() && !id.is_boolean());
        if id.is_some() && named.is_none() {
            return Err(invalid_request(Value::Null));
        }
        let id_or_null = named.clone().unwrap_or_default();
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid_request(id_or_null));
        }
        let params = members.remove("params").unwrap_or_default();
        if !matches!(params, Value::Null | Value::Array(_) | Value::Object(_)) {
            return Err(invalid_request(id_or_null));
        }
        match members.remove("method") {
            Some(Value::String(method)) => Ok(Self { id: named, method, params }),
            _ => Err(invalid_request(id_or_null)),
        }
    }
}

fn invalid_request(id: Value) -> Value {
    Failure::new(INVALID_REQUEST, "this is no JSON-RPC 2.0 request").into_answer(id)
}

/// The parameters of a call in the order in which its method lists them.
pub(super) struct Params {
    method: &'static Method,
    values: Vec<Value>,
}

impl Params {
    /// Takes them by position or by name, also by the name in camel case.
    ///
    /// # Errors
    /// [`INVALID_PARAMS`] when one is missing that has to be there.
    pub(super) fn bind(method: &'static Method, params: Value) -> Result<Self, Failure> {
        let values = match params {
            Value::Array(values) => values,
            Value::Object(mut named) => {
                method.params.iter().map(|param| take(&mut named, param.name)).collect()
            }
            _ => Vec::new(),
        };
        let params = Self { method, values };
        for (index, param) in method.params.iter().enumerate() {
            if param.is_required && params.value(index).is_null() {
                let missing = format!("the parameter '{}' is missing", param.name);
                return Err(Failure::new(INVALID_PARAMS, missing));
            }
        }
        Ok(params)
    }

    /// One of them, by its place in the method's list.
    ///
    /// # Errors
    /// [`INVALID_PARAMS`] when it is of another type.
    pub(super) fn get<T: DeserializeOwned>(&self, index: usize) -> Result<T, Failure> {
        let name = self.method.params.get(index).map_or("", |param| param.name);
        // The text of the error may quote what was sent, so it goes to the caller only.
        serde_json::from_value(self.value(index).clone()).map_err(|error| {
            Failure::new(INVALID_PARAMS, format!("the parameter '{name}': {error}"))
        })
    }

    fn value(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Null)
    }
}

fn take(named: &mut Map<String, Value>, name: &str) -> Value {
    let value = named.remove(name).or_else(|| named.remove(&camel_case(name)));
    value.unwrap_or_default()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_spellings() {
        assert_eq!(camel_case("reply_timeout"), "replyTimeout");
        assert_eq!(camel_case("ip"), "ip");
        let mut named = json!({ "socketPath": 1 }).as_object().unwrap().clone();
        assert_eq!(take(&mut named, "socket_path"), json!(1));
    }

    #[test]
    fn what_is_no_request_is_answered_with_its_name_where_it_has_one() {
        let wrong = [
            (json!(1), Value::Null),
            (json!({}), Value::Null),
            (json!({"jsonrpc": "1.0", "id": 7, "method": "getInfo"}), json!(7)),
            (json!({"jsonrpc": "2.0", "id": "a", "method": 1}), json!("a")),
            (json!({"jsonrpc": "2.0", "id": "a", "method": "getInfo", "params": 1}), json!("a")),
            (json!({"jsonrpc": "2.0", "id": [], "method": "getInfo"}), Value::Null),
        ];
        for (value, id) in wrong {
            let answer = Request::read(value.clone()).err().unwrap();
            assert_eq!(
                (&answer["error"]["code"], &answer["id"]),
                (&json!(INVALID_REQUEST), &id),
                "{value}"
            );
        }
    }
}
