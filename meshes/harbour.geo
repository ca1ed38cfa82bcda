// A harbour of two basins, about 2 by 1, with two islands.
// Boundary parts: inflow (a river in the west), outflow (the mouth in the east),
// south and north (the shores), island_west and island_east.
// The cell size follows Mesh.MeshSizeMax, which 'domain.mesh_size' sets (default below).
h = 0.05;
Mesh.MeshSizeMax = h;
Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.MeshSizeFromPoints = 0;
Mesh.Algorithm = 6;

// south shore, west to east
Point(1) = {0.00, 0.35, 0};
Point(2) = {0.25, 0.33, 0};
Point(3) = {0.35, 0.05, 0};
Point(4) = {0.75, 0.00, 0};
Point(5) = {1.00, 0.18, 0};
Point(6) = {1.25, 0.02, 0};
Point(7) = {1.70, 0.08, 0};
Point(8) = {1.80, 0.40, 0};
Point(9) = {2.00, 0.42, 0};
// the mouth, then the north shore, east to west
Point(10) = {2.00, 0.72, 0};
Point(11) = {1.78, 0.76, 0};
Point(12) = {1.60, 0.98, 0};
Point(13) = {1.20, 1.00, 0};
Point(14) = {0.95, 0.85, 0};
Point(15) = {0.65, 0.98, 0};
Point(16) = {0.30, 0.90, 0};
Point(17) = {0.22, 0.58, 0};
Point(18) = {0.00, 0.55, 0};

Line(1) = {1, 2};
Spline(2) = {2, 3, 4, 5, 6, 7, 8};
Line(3) = {8, 9};
Line(4) = {9, 10};
Line(5) = {10, 11};
Spline(6) = {11, 12, 13, 14, 15, 16, 17};
Line(7) = {17, 18};
Line(8) = {18, 1};
Curve Loop(1) = {1, 2, 3, 4, 5, 6, 7, 8};

// the islands: a round one in the west, a long one in the east
Point(20) = {0.62, 0.52, 0};
Point(21) = {0.75, 0.52, 0};
Point(22) = {0.62, 0.66, 0};
Point(23) = {0.49, 0.52, 0};
Point(24) = {0.62, 0.40, 0};
Spline(20) = {21, 22, 23, 24, 21};
Curve Loop(2) = {20};

Point(31) = {1.62, 0.56, 0};
Point(32) = {1.38, 0.66, 0};
Point(33) = {1.20, 0.50, 0};
Point(34) = {1.36, 0.42, 0};
Spline(30) = {31, 32, 33, 34, 31};
Curve Loop(3) = {30};

Plane Surface(1) = {1, 2, 3};

Physical Surface("water") = {1};
Physical Curve("inflow") = {8};
Physical Curve("outflow") = {4};
Physical Curve("south") = {1, 2, 3};
Physical Curve("north") = {5, 6, 7};
Physical Curve("island_west") = {20};
Physical Curve("island_east") = {30};
