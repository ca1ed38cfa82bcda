// The square (-1, 1)^2 without its quadrant x > 0, y < 0, of triangles of one size.
// Boundary parts: reentrant (the two edges that meet at the origin), outer (all others).
DefineConstant[ mesh_size = {0.1, Name "mesh_size"} ];
Mesh.MeshSizeMax = mesh_size;
Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.MeshSizeFromPoints = 0;
Mesh.Algorithm = 6;

Point(1) = {0, 0, 0};
Point(2) = {1, 0, 0};
Point(3) = {1, 1, 0};
Point(4) = {-1, 1, 0};
Point(5) = {-1, -1, 0};
Point(6) = {0, -1, 0};
Line(1) = {1, 2};
Line(2) = {2, 3};
Line(3) = {3, 4};
Line(4) = {4, 5};
Line(5) = {5, 6};
Line(6) = {6, 1};
Curve Loop(1) = {1, 2, 3, 4, 5, 6};
Plane Surface(1) = {1};

Physical Surface("domain") = {1};
Physical Curve("reentrant") = {1, 6};
Physical Curve("outer") = {2, 3, 4, 5};
