//! Assertions that make and change messages.

super::catalogue! {
    add_header,
    code_injection_protection,
    customize_error_response,
    evaluate_json_path,
    evaluate_xpath,
    form_fields,
    json_to_xml,
    manage_cookie,
    message_size_limit,
    parse_json,
    remove_header,
    respond,
    set_query,
    transform_xml,
    xml_to_json,
}
