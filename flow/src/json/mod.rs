//! Hubble's JSON form: proto field names, enum names, 64-bit numbers as strings, defaults left
//! out, the fields in the order of the schema.

mod form;
mod read;
mod wire;
mod write;
