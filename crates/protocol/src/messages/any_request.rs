//! A request of any API, for the one place that tells them apart.

use super::*;
use crate::api::ApiKey;
use crate::codec::{DecodeError, decode_whole};

macro_rules! any_request {
    ($($api:ident: $request:ident $(<$q:lifetime>)?, $response:ident $(<$s:lifetime>)?;)+) => {
        /// A decoded request; each variant is named as its API.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the names are the protocol's own")]
        pub enum AnyRequest<'a> {
            $($api($request $(<$q>)?),)+
        }

        impl<'a> AnyRequest<'a> {
            /// Reads a request's body, which must be the message and nothing after it.
            ///
            /// # Errors
            /// When the bytes are not such a request.
            pub fn decode(
                key: ApiKey,
                version: i16,
                body: &'a [u8],
            ) -> Result<Self, DecodeError> {
                match key {
                    $(ApiKey::$api => decode_whole(body, version).map(Self::$api),)+
                }
            }

            /// The API that the request belongs to.
            #[must_use]
            pub fn key(&self) -> ApiKey {
                match self {
                    $(Self::$api(_) => ApiKey::$api,)+
                }
            }
        }
    };
}

each_api!(any_request);
