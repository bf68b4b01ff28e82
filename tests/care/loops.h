/* cppcheck does not read the system's headers: what Jansson's loops are, for it to follow. Never compiled. */
#define json_array_foreach(list, index, value) for (index = 0; (value = json_array_get(list, index)); index++)
#define json_object_foreach(object, key, value)                                                              \
    for (key = json_first(object); key && (value = json_object_get(object, key));                            \
         key = json_after(object, key))
#define json_object_foreach_safe(object, next, key, value) json_object_foreach(object, key, value)
